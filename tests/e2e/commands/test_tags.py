"""Fan-outs over the topics of tags, at a broker that lets devices hear them."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from libs.topics import names
from tests.e2e.commands.applications import Application
from tests.e2e.commands.replicas import replica
from tests.e2e.commands.waits import all_over, counted, known, reached, until
from tests.e2e.commands.workers import Worker
from tests.integration.api.calling import client
from tests.support.names import unique
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from devstack.stack import Stack

pytestmark = pytest.mark.timeout(180)

TAG = "line-3"
ONLINE = 6
WAITING = 40
"""Commands for one device, more than are sent at once: a backlog for five seconds."""


@asynccontextmanager
async def with_tag_topics(stack: Stack) -> AsyncIterator[None]:
    """In the place of the stack's own `commands` one that publishes to tags, which all devices may hear."""
    with (stack.state / "mosquitto" / "devices.acl").open("a") as access:
        access.write(f"pattern read tags/+/{TAG}/cmd/+/+/+/#\n")
    stack.kill("mosquitto", signal.SIGHUP)
    log = stack.logs / "mosquitto.log"
    await until(lambda: "Reloading config" in log.read_text(errors="replace"), "the broker to have read it")
    await asyncio.to_thread(stack.stop_service, "commands")
    try:
        async with replica(stack, "commands", tag_topics="true") as instead:
            yield
            assert await instead.end(signal.SIGTERM) == 0
    finally:
        stack.start_service("commands")
        await asyncio.to_thread(stack.wait_ready)


async def subscribed(stack: Stack, product: str, devices: Iterable[str], version: int = 1) -> None:
    """Return when the ledger is told that devices have subscribed to their tags of this version or a later one."""
    wanted = set(devices)

    def told() -> bool:
        messages = [record.message for record in read_all(stack.kafka, names.COMMANDS_INBOX) if record.key]
        mine = [one for one in messages if one["type"] == "resource_requested" and one["product_id"] == product]
        had = {one["device_id"]: one["payload"] for one in mine if one["resource"] == "$tags"}
        return {name for name, tags in had.items() if tags["tags_version"] >= version and tags["subscribed"]} >= wanted

    await until(told, "devices to have subscribed to their tags")


async def noticed(stack: Stack, product: str, request_id: str, devices: Iterable[str]) -> None:
    """Return when the ledger is told that somebody heard a command to each of these devices."""
    wanted = set(devices)

    def told() -> bool:
        messages = [record.message for record in read_all(stack.kafka, names.COMMANDS_INBOX) if record.key]
        mine = [one for one in messages if one["type"] == "message_published" and one["product_id"] == product]
        return {one["device_id"] for one in mine if one["request_id"] == request_id and one["heard"]} >= wanted

    await until(told, f"the notices of {request_id}")


def published(stack: Stack, request_id: str) -> Counter[str]:
    """To which devices, and how often to a tag, a fan-out was given to the downlink."""
    messages = [record.message for record in read_all(stack.kafka, names.DOWNLINK_MESSAGES)]
    mine = [one for one in messages if one["request_id"] == request_id]
    return Counter(one["device_id"] or f"tag {one['tag']}" for one in mine)


async def test_one_publish_reaches_all_of_a_tag_that_hear_it_and_each_runs_it_once(stack: Stack) -> None:
    product = unique("tags")
    there = [Worker(stack.mqtt_port, product, f"d{number}") for number in range(ONLINE)]
    away, behind, late = (Worker(stack.mqtt_port, product, device) for device in ("away", "behind", "late"))
    everybody, named = [*there, away, behind, late], [worker.device for worker in there]
    async with client(stack) as calling, AsyncExitStack() as ends, with_tag_topics(stack):
        application = Application(calling, product)
        await application.register([*named, "away", "behind"], TAG)
        made = await application.ask("POST", f"/products/{product}/devices", json={"device_id": "late"})
        assert made.status_code == httpx.codes.CREATED, made.text
        queued = [await application.send("behind", number) for number in range(WAITING)]
        for worker in (*there, late):
            await ends.enter_async_context(worker.online())
        await known(stack, product, [*named, "late"], "online")
        await subscribed(stack, product, named)

        first = (await application.fan_out(TAG, 0))["fanout_id"]
        await counted(application, first, members=ONLINE + 2, replied=ONLINE, queued=2)
        await noticed(stack, product, first, named)
        assert published(stack, first) == Counter([*named, f"tag {TAG}"]), "nobody had heard anything yet"

        put = await application.ask("PUT", application.of("late") + "/tags", json={"tags": [TAG]})
        assert put.is_success, put.text
        await subscribed(stack, product, ["late"], msgspec.json.decode(put.content)["tags_version"])
        assert (await application.call("late", 0)).state == "replied"
        await ends.enter_async_context(behind.online())
        await until(partial(reached, behind.ran, 1), "the first of a queue")
        second = await repeated(application, calling, product)
        await counted(application, second, members=ONLINE + 3, replied=ONLINE + 2, queued=1)
        own = published(stack, second)
        assert own.pop(f"tag {TAG}") == 1
        assert own.keys() <= {"behind", "late"}, "who listens gets it by its tag"

        await ends.enter_async_context(away.online())
        for fanout_id, members in ((first, ONLINE + 2), (second, ONLINE + 3)):
            await counted(application, fanout_id, members=members, replied=members, open=0)
        books = await all_over(stack, product, WAITING + 1 + 2 * ONLINE + 5)
    assert set(books.states().values()) == {"replied"}
    for worker in everybody:
        assert max(Counter(worker.ran).values()) == 1, worker.device
    assert sorted(behind.ran) == sorted([*queued, first, second])
    assert [one for one in behind.ran if one in queued] == queued
    assert published(stack, second)["away"] == 1


async def repeated(application: Application, calling: httpx.AsyncClient, product: str) -> str:
    """A fan-out that is asked for twice under its key: its id."""
    path, key = f"/v1/products/{product}/tags/{TAG}/commands", {"Idempotency-Key": f"twice-{product}"}
    new = {"name": "work", "payload": {"n": 1}}
    begun = [(await calling.post(path, json=new, headers=key)).json() for _ in range(2)]
    assert begun[0] == begun[1]
    return str(begun[0]["fanout_id"])
