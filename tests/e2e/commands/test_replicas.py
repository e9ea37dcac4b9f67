"""Calls while there are two processes of a service, of which one comes, leaves or dies."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import httpx
import pytest

from devstack.ports import HOST, free_port
from tests.e2e.commands.applications import Application
from tests.e2e.commands.replicas import metric, replica
from tests.e2e.commands.waits import all_over, known, reached, until
from tests.e2e.commands.workers import Worker
from tests.integration.api.calling import access, admitted, client
from tests.support.names import unique

if TYPE_CHECKING:
    from devstack.stack import Stack
    from tests.e2e.commands.applications import Told

pytestmark = pytest.mark.timeout(180)

CALLERS = 12
MORE = 3 * CALLERS
"""Calls that are answered before the next thing happens."""
WAITING = 4
"""Calls at each process of the API when one dies: at both together as many as the ledger remembers of a device."""


def serves(ops: str) -> float:
    return metric(ops, "fleetlog_lane_partitions{")


def ends_at(ops: str) -> float:
    """How many calls came to their end at a process."""
    return metric(ops, 'fleetlog_commands_ends_total{mode="rpc"')


async def test_calls_go_on_while_devices_move_from_one_process_of_commands_to_another_and_back(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    product, over = unique("moves"), asyncio.Event()
    answers: list[Told] = []
    workers = [Worker(stack.mqtt_port, product, f"d{number}") for number in range(CALLERS)]
    first, half = stack.ops_url("commands"), stack.partitions / 2
    own = {"lane_instance_id": "", "lane_data_dir": str(tmp_path_factory.mktemp("rows"))}
    async with client(stack) as calling, AsyncExitStack() as ends:
        application, numbers = Application(calling, product), count()
        await application.register(worker.device for worker in workers)
        for worker in workers:
            await ends.enter_async_context(worker.online())
        await known(stack, product, (worker.device for worker in workers), "online")

        async def caller(worker: Worker) -> None:
            while not over.is_set():
                answers.append(await application.call(worker.device, next(numbers)))

        async def more(during: str) -> None:
            await until(partial(reached, answers, len(answers) + MORE), f"calls {during}")

        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(caller(worker))
            await more("at one process")
            async with replica(stack, "commands", **own) as second:
                await until(lambda: serves(first) == serves(second.ops) == half, "half of the partitions at each")
                await until(lambda: ends_at(second.ops) > MORE, "calls that the second one answered")
                await more("at two processes")
                assert await second.end(signal.SIGTERM) == 0
            await until(lambda: serves(first) == stack.partitions, "all partitions at the first one again")
            await more("at the one that is left")
            over.set()
        books = await all_over(stack, product, len(answers))
    states = books.states()
    assert {told.state for told in answers} == {"replied"} == set(states.values())
    assert [told.reply for told in answers] == [{"n": told.number} for told in answers]
    for worker in workers:
        ids = Counter(told.request_id for told in answers if told.device == worker.device)
        assert Counter(worker.ran) == ids, "each ran once"


async def test_an_api_process_that_dies_loses_its_own_callers_only_and_none_of_their_outcomes(stack: Stack) -> None:
    product, port = unique("waiters"), free_port()
    numbers = range(2 * WAITING)
    worker = Worker(stack.mqtt_port, product, "d0", held=frozenset(numbers))
    headers = {"Authorization": f"Bearer {access(stack).key}"}
    other = httpx.AsyncClient(base_url=f"http://{HOST}:{port}", headers=headers, timeout=60)
    async with client(stack) as calling, other, worker.online():
        application = Application(calling, product)
        await application.register([worker.device])
        await known(stack, product, [worker.device], "online")

        async def call(by: httpx.AsyncClient, number: int) -> httpx.Response:
            new = {"name": "work", "payload": {"n": number}, "timeout_s": 30}
            key = {"Idempotency-Key": f"{product}-{number}"}
            return await by.post(f"/v1{application.of('d0')}/rpc", json=new, headers=key)

        async with replica(stack, "api", http_port=str(port), join_mqtt="false") as second:
            await asyncio.to_thread(admitted, f"http://{HOST}:{port}", access(stack).key)
            lost = [asyncio.create_task(call(other, number)) for number in numbers[:WAITING]]
            kept = [asyncio.create_task(call(calling, number)) for number in numbers[WAITING:]]
            await until(partial(reached, worker.ran, len(numbers)), "all calls at the device")
            await second.end(signal.SIGKILL)
        for failure in await asyncio.gather(*lost, return_exceptions=True):
            assert isinstance(failure, httpx.TransportError), failure
        worker.free.set()
        answered = {number: (await task).json() for number, task in zip(numbers[WAITING:], kept, strict=True)}
        ids = set(worker.ran) - {told["request_id"] for told in answered.values()}
        await all_over(stack, product, len(numbers))
        found = [(await application.ask("GET", f"/commands/{request_id}")).json() for request_id in ids]
        again = {number: (await call(calling, number)).json() for number in numbers[:WAITING]}
    for number, told in (answered | again).items():
        assert (told["state"], told["reply"]["payload"]) == ("replied", {"n": number})
    assert {told["request_id"] for told in again.values()} == ids, "who asks again is told of the same call"
    outcome = {told["request_id"]: told["reply"]["payload"] for told in again.values()}
    assert {one["request_id"]: one["reply"]["payload"] for one in found} == outcome
    assert {one["state"] for one in found} == {"replied"}
    assert max(Counter(worker.ran).values()) == 1
