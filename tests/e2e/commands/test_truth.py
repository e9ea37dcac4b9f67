"""Commands with everything real: HTTP, the broker, devices of the SDK, and services that are killed."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.commands.applications import PATIENCE, Application
from tests.e2e.commands.books import Books
from tests.e2e.commands.waits import all_over, counted, known, reached, until
from tests.e2e.commands.wire import Wire
from tests.e2e.commands.workers import DAY, Worker
from tests.integration.api.calling import client
from tests.support.kills import kill
from tests.support.names import unique
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from devstack.stack import Stack
    from fleetlog_device import Device
    from tests.e2e.commands.applications import Told

pytestmark = pytest.mark.timeout(300)

CALLERS, CALLS = 20, 500
KILLED = ("commands", "downlink", "ingest", "api")
QUEUED = 90
"""Commands for a device that is off: three windows of its pace."""
FLUSH = tuple(zip(("presence", *KILLED), (0, 1, 31, 61, 75), strict=True))
"""Who is killed when so many of them have come: presence when the devices are back, and it may not have said so."""
CUTS = 20
ONLINE, OFF = 40, 10
"""Members of the fan-outs."""


async def test_500_calls_are_each_answered_truly_and_over_once_whoever_is_killed(stack: Stack) -> None:
    product = unique("calls")
    workers = [Worker(stack.mqtt_port, product, f"d{number}") for number in range(CALLERS)]
    answers: list[Told] = []
    async with client(stack) as calling, AsyncExitStack() as ends:
        application = Application(calling, product)
        await application.register(worker.device for worker in workers)
        for worker in workers:
            await ends.enter_async_context(worker.online())
        await known(stack, product, (worker.device for worker in workers), "online")
        numbers = iter(range(CALLS))

        async def caller() -> None:
            for number in numbers:
                told = await application.call(workers[number % CALLERS].device, number)
                answers.append(told)

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
            for turn, service in enumerate(KILLED, 1):
                await until(partial(reached, answers, turn * CALLS // (len(KILLED) + 1)), f"calls before {service}")
                await asyncio.to_thread(kill, stack, service)
        books = await all_over(stack, product, CALLS)
    states = books.states()
    for told in answers:
        state = states[told.device, told.request_id]
        assert told.state in {None, state}, told
        assert state in {"replied", "timed_out"}, told
        if told.state == "replied":
            assert told.reply == {"n": told.number}
    assert Counter(told.number for told in answers) == Counter(range(CALLS))
    assert len({(told.device, told.request_id) for told in answers}) == CALLS
    assert Counter(states.values())["replied"] > CALLS / 2
    for worker in workers:
        replied = {
            request_id for (name, request_id), state in states.items() if (name, state) == (worker.device, "replied")
        }
        assert replied <= set(worker.ran)
        assert max(Counter(worker.ran).values()) == 1


async def queue(
    stack: Stack, application: Application, product: str, workers: list[Worker], count: int
) -> list[list[str]]:
    """Send so many commands to each worker, who was there once and is off. Returns request ids in order."""
    devices = [worker.device for worker in workers]
    await application.register(devices)
    for worker in workers:
        async with worker.online():
            pass
    await known(stack, product, devices)
    await known(stack, product, devices, "offline")

    async def sent(device: str) -> list[str]:
        return [await application.send(device, number) for number in range(count)]

    return await asyncio.gather(*map(sent, devices))


async def test_what_waited_comes_in_order_and_runs_once_whoever_is_killed_meanwhile(stack: Stack) -> None:
    product = unique("flush")
    workers = [Worker(stack.mqtt_port, product, device) for device in ("d0", "d1")]
    async with client(stack) as calling, AsyncExitStack() as ends:
        sent = await queue(stack, Application(calling, product), product, workers, QUEUED)
        assert [worker.ran for worker in workers] == [[], []]
        for worker in workers:
            await ends.enter_async_context(worker.online())
        for service, count in FLUSH:
            await until(partial(reached, workers[0].ran, count), f"commands before {service}")
            await asyncio.to_thread(kill, stack, service)
        books = await all_over(stack, product, 2 * QUEUED)
    assert set(books.states().values()) == {"replied"}
    assert [worker.ran for worker in workers] == sent


async def test_a_device_that_is_cut_off_20_times_gets_each_command_and_runs_it_once(stack: Stack) -> None:
    product, wire = unique("cut"), Wire(stack.mqtt_port)
    async with client(stack) as calling, wire.listening():
        worker = Worker(wire.port, product, "d0", held=frozenset({0, 1}))
        [sent] = await queue(stack, Application(calling, product), product, [worker], QUEUED)
        before = worker.lives
        async with worker.online() as device:
            for _ in range(CUTS):
                with suppress(TimeoutError):  # of the pace, or of a moment in which nothing comes
                    await asyncio.wait_for(worker.began.wait(), 0.3)
                worker.began.clear()
                wire.cut()
                await eventually_async(partial(is_connected, device, worker, worker.lives), PATIENCE)
            worker.free.set()
            books = await all_over(stack, product, QUEUED)
    assert worker.lives > before + CUTS
    assert set(books.states().values()) == {"replied"}
    assert worker.ran == sent
    attempts = books.attempts("d0")
    assert min(attempts[request_id] for request_id in sent[:2]) > 1, "nothing came twice: the test tests nothing"


async def is_connected(device: Device, worker: Worker, lives: int) -> bool:
    return device.connected and worker.lives > lives


async def test_the_counts_of_fan_outs_are_right_though_the_broker_starts_anew(stack: Stack) -> None:
    """One is under way when the broker ends, one begins while it is away, one when it is back.

    It ends twice: in order, and killed, which loses sessions, subscriptions and messages of its last seconds.
    """
    product = unique("fan")
    workers = [Worker(stack.mqtt_port, product, f"d{number}") for number in range(ONLINE + OFF)]
    there, away = workers[:ONLINE], workers[ONLINE:]
    async with client(stack) as calling, AsyncExitStack() as ends:
        application = Application(calling, product)
        await application.register([worker.device for worker in workers], "line-3")
        for worker in there:
            await ends.enter_async_context(worker.online())
        await known(stack, product, (worker.device for worker in workers))
        await known(stack, product, (worker.device for worker in there), "online")
        begun: list[dict[str, Any]] = []
        for number in (signal.SIGTERM, signal.SIGKILL):
            begun.append(await application.fan_out("line-3", 0))
            under_way = begun[-1]["fanout_id"]
            await until(partial(anybody_ran, there, under_way), "the first member to be reached")
            before = stack.pid("mosquitto")
            stack.kill("mosquitto", number)
            begun.append(await application.fan_out("line-3", 1))
            await until(partial(began_anew, stack, before), "the broker at work again")
        begun.append(await application.fan_out("line-3", 2))
        assert (begun[0]["accepted"], begun[0]["queued"]) == (ONLINE, OFF)
        ids = [one["fanout_id"] for one in begun]
        for fanout_id in ids:
            await counted(application, fanout_id, members=ONLINE + OFF, replied=ONLINE, queued=OFF, open=OFF)
        for worker in away:
            await ends.enter_async_context(worker.online())
        final = {"members": ONLINE + OFF, "replied": ONLINE + OFF, "open": 0, "partitions": stack.partitions}
        for fanout_id in ids:
            await counted(application, fanout_id, **final)
        books = await all_over(stack, product, len(ids) * (ONLINE + OFF))
    for one in begun:
        assert (one["members"], one["refused"], one["missing_partitions"]) == (ONLINE + OFF, 0, [])
    assert set(books.states().values()) == {"replied"}
    for worker in workers:
        assert Counter(worker.ran) == Counter(ids), worker.device


def anybody_ran(workers: list[Worker], request_id: str) -> bool:
    return any(request_id in worker.ran for worker in workers)


def began_anew(stack: Stack, before: int | None) -> bool:
    return stack.pid("mosquitto") not in {None, before} and stack.is_ready("mosquitto")


@pytest.mark.parametrize("off", [-DAY, DAY])
async def test_a_device_whose_clock_is_a_day_off_runs_what_it_should_and_nothing_else(stack: Stack, off: int) -> None:
    product = unique("clock")
    worker = Worker(stack.mqtt_port, product, "d0", off=off)
    async with client(stack) as calling:
        application = Application(calling, product)
        [[first]] = await queue(stack, application, product, [worker], 1)
        short = await application.send("d0", 1, ttl_s=1)
        last = await application.send("d0", 2)
        await until(lambda: Books(stack, product).states()["d0", short] == "expired", "a command to expire")
        async with worker.online() as device:
            await arrived(worker, last)
            told = await application.call("d0", 3)
            assert (told.state, told.reply) == ("replied", {"n": 3})
            assert abs(await device.sync_time() + off) < DAY / 2
            assert abs(device.now() - time.time_ns() // 1_000_000) < 60_000
            later = await application.send("d0", 4)
            await arrived(worker, later)
            assert worker.ran == [first, last, told.request_id, later]
            await the_rest(application, device, worker)
        books = await all_over(stack, product, 5)
    assert Counter(books.states().values()) == {"replied": 4, "expired": 1}


async def arrived(worker: Worker, request_id: str) -> None:
    await until(lambda: request_id in worker.ran, f"{request_id} to run")


async def the_rest(application: Application, device: Device, worker: Worker) -> None:
    """Probes, tags and messages for one client, as the hub's own services send them."""
    probed = (await application.ask("POST", f"{application.of('d0')}/probe", json={"mode": "normal"})).json()
    assert (probed["verdict"], probed["altered"]) == ("reachable", False)
    put = await application.ask("PUT", f"{application.of('d0')}/tags", json={"tags": ["red", "blue"]})
    assert put.is_success, put.text
    await until(lambda: device.tags == {"red", "blue"}, "the new tags")
    message: dict[str, Any] = {"topic": "alarms", "payload": {"level": 2}}
    assert (await application.ask("POST", f"{application.of('d0')}/messages", json=message)).is_success
    await until(lambda: bool(worker.heard), "a message of an application")
    assert [(topic, json.loads(payload)) for topic, payload in worker.heard] == [("alarms", {"level": 2})]
