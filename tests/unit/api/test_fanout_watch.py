"""Fan-outs as they are watched: one look for all, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.runtime.owners.reads import Unavailable
from libs.topics.names import COMMANDS_EVENTS
from services.api import access
from services.api.fanout_course import IDLE, LEAST
from services.api.frames import Record
from services.api.problems import Problem, busy
from services.api.settings import StreamSettings
from tests.support.virtual_time import in_virtual_time, pass_time
from tests.unit.api.ledgers import FakeCommands
from tests.unit.api.test_direct import inhabited
from tests.unit.api.world import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from services.api.access import Caller

HEARTBEAT = StreamSettings().heartbeat_s


class Fleet(FakeCommands):
    """Ten devices that wait for their command of a fan-out. ``looks``: how often the owners were asked for it."""

    def __init__(self) -> None:
        super().__init__(inhabited())
        known = next(documents for view, documents in self.world.reads.documents.items() if view[2] == "device")
        for number in range(3, 11):
            known[f"p1/d{number}"] = {**known["p1/d1"], "device_id": f"d{number}"}
        self.world.reads.listed["tag:p1/red"] = [f"p1/d{number}" for number in range(1, 11)]
        self.id = ""
        self.looks = 0
        ask = self.world.reads.list

        async def listed(*what: Any, **options: Any) -> Any:
            self.looks += 1
            return await ask(*what, **options)

        self.world.reads.list = listed  # type: ignore[method-assign]  # to count

    async def begin(self) -> None:
        async with self.world.client() as client:
            told = await client.post("/v1/products/p1/tags/red/commands", json={"name": "unlock"})
        self.id = told.json()["fanout_id"]
        partitions = self.world.hub.settings.kafka.partitions
        self.world.history.told = {"fanouts": [("p1", "red", NOW, partitions, 10, 0)], "command_ledger": []}

    def move(self, number: int, state: Any = "replied", about: str = "") -> None:
        """Let a device's command be in another state, and the log tell so."""
        (command,) = self.entries[f"p1/d{number}"]
        over = None if state in {"sent", "delivered"} else NOW
        self.entries[f"p1/d{number}"] = [replace(command, state=state, ended_at=over)]
        self.tell(about or self.id)

    def tell(self, about: str) -> None:
        value = b'{"type":"command_replied","request_id":"%b"}' % about.encode()
        record = Record((COMMANDS_EVENTS, 0), 0, "p1", "command_replied", value, "d1")
        self.world.streams.heard.put_nowait(record)

    def caller(self, **key: Any) -> Caller:
        header = self.world.issue(**key)["Authorization"]
        hub = self.world.hub
        return access.authenticate(header, lambda key_id: access.document_of(hub, key_id), NOW)


class Watcher:
    """Reads a stream to its end. ``events``: name and data of what came; ``silences``: when nothing was told."""

    def __init__(self, fleet: Fleet, caller: Caller | None = None) -> None:
        self._stream = fleet.world.hub.watches.stream(caller or fleet.caller(), fleet.id)
        self.events: list[tuple[str, Any]] = []
        self.silences = 0
        self._reading = asyncio.create_task(self._read(self._stream))

    async def _read(self, stream: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(stream):
            async for chunk in stream:
                self.silences += chunk == b":\n\n"
                for block in chunk.decode().split("\n\n"):
                    if block.startswith("event: "):
                        name, data = block.removeprefix("event: ").split("\ndata: ")
                        self.events.append((name, msgspec.json.decode(data)))

    async def over(self) -> list[tuple[str, Any]]:
        await self._reading
        return self.events

    async def leave(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


def told(watcher: Watcher, *names: str) -> list[tuple[Any, ...]]:
    return [(name, *[data[one] for one in names]) for name, data in watcher.events]


def tale(work: Callable[[Fleet], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of it, in virtual time, on a fan-out that has begun."""

    async def begun() -> None:
        fleet = Fleet()
        await fleet.begin()
        fleet.looks = 0
        await work(fleet)

    def test() -> None:
        in_virtual_time(begun())

    test.__name__ = work.__name__
    return test


@tale
async def test_counts_are_told_at_once_as_they_change_and_to_the_end(fleet: Fleet) -> None:
    watcher = Watcher(fleet)
    await pass_time(1)
    assert told(watcher, "open", "queued", "tag", "missing_partitions") == [("counts", 10, 10, "red", [])]
    fleet.move(1, "sent")
    await pass_time(1)
    assert told(watcher, "queued", "sent")[1:] == [("counts", 9, 1)]
    for number in range(1, 11):
        fleet.move(number)
    events = await watcher.over()
    assert told(watcher, "replied", "open")[2:] == [("final", 10, 0)]
    async with fleet.world.client() as client:
        assert events[-1][1] == (await client.get(f"/v1/fanouts/{fleet.id}")).json()
    assert fleet.world.streams.listening == []


@tale
async def test_many_changes_and_many_watchers_are_few_looks(fleet: Fleet) -> None:
    watchers = [Watcher(fleet) for _ in range(20)]
    await pass_time(1)
    fleet.looks, began = 0, asyncio.get_running_loop().time()
    for number in range(1, 11):
        for _ in range(10):
            fleet.tell(fleet.id)
        fleet.move(number)
        await pass_time(0.1)
    for watcher in watchers:
        await watcher.over()
    elapsed = asyncio.get_running_loop().time() - began  # real time comes on top of the virtual one
    assert fleet.looks <= 1 + elapsed / LEAST
    assert [watcher.events == watchers[0].events for watcher in watchers] == [True] * 20
    assert told(watchers[0], "replied")[-1] == ("final", 10)


@tale
async def test_who_comes_in_the_middle_is_told_what_is_so_now(fleet: Fleet) -> None:
    first = Watcher(fleet)
    await pass_time(1)
    fleet.move(1)
    await pass_time(1)
    looks = fleet.looks
    second = Watcher(fleet)
    await pass_time(0)
    assert told(second, "replied") == [("counts", 1)]
    assert fleet.looks == looks
    await first.leave()
    for number in range(2, 11):
        fleet.move(number)
    assert (await second.over())[-1][1]["replied"] == 10


@tale
async def test_other_fan_outs_and_nothing_at_all_cause_no_looks(fleet: Fleet) -> None:
    watcher = Watcher(fleet)
    await pass_time(1)
    looks = fleet.looks
    fleet.tell("f-other")
    await pass_time(IDLE - 5)
    assert fleet.looks == looks
    await pass_time(5)
    assert fleet.looks == looks + 1
    assert len(watcher.events) == 1
    assert watcher.silences == 1
    await watcher.leave()


@tale
async def test_nobody_is_asked_when_nobody_watches(fleet: Fleet) -> None:
    watchers = [Watcher(fleet), Watcher(fleet)]
    await pass_time(1)
    for watcher in watchers:
        await watcher.leave()
    looks = fleet.looks
    fleet.move(1)
    await pass_time(100)
    assert (fleet.looks, fleet.world.streams.listening) == (looks, [])


@tale
async def test_partitions_without_an_owner_are_named_until_they_have_one(fleet: Fleet) -> None:
    watcher = Watcher(fleet)
    await pass_time(1)
    fleet.move(1)
    fleet.world.reads.failure = Unavailable("commands", "ledger", [2, 0])
    await pass_time(5)
    assert told(watcher, "replied", "missing_partitions")[1:] == [("counts", 0, [0, 2])]
    fleet.world.reads.failure = None
    await pass_time(2)
    assert told(watcher, "replied", "missing_partitions")[2:] == [("counts", 1, [])]
    await watcher.leave()


@tale
async def test_a_store_that_does_not_tell_ends_nothing(fleet: Fleet) -> None:
    watcher = Watcher(fleet)
    await pass_time(1)
    fleet.world.history.failure = busy("unavailable", "no ClickHouse")
    fleet.entries["p1/d10"].clear()  # forgotten: the store must tell
    fleet.move(1)
    await pass_time(5)
    assert len(watcher.events) == 1
    fleet.world.history.failure = None
    fleet.world.history.told["command_ledger"] = [("expired", 10, 3)]
    assert (await watcher.over())[-1][1]["expired"] == 10


@tale
async def test_what_is_over_is_told_once(fleet: Fleet) -> None:
    for number in range(1, 11):
        fleet.move(number)
    assert [name for name, _ in await Watcher(fleet).over()] == ["final"]
    async with fleet.world.client() as client:
        answer = await client.get(f"/v1/fanouts/{fleet.id}/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    opening, event, rest = answer.text.split("\n\n")
    assert (opening, event.startswith("event: final\ndata: {"), rest) == ("retry: 1000", True, "")


@tale
async def test_what_nobody_knows_or_may_know_is_no_stream(fleet: Fleet) -> None:
    world = fleet.world
    async with world.client() as client:
        world.history.told = {"fanouts": []}
        unknown = await client.get("/v1/fanouts/f-nobody/stream")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_fanout")
    for scopes, products, expected in ((("read",), ("p2",), 404), (("command",), None, 403)):
        async with world.client(world.issue(*scopes, products=products)) as client:  # type: ignore[arg-type]
            assert (await client.get(f"/v1/fanouts/{fleet.id}/stream")).status_code == expected
    world.reads.failure = Unavailable("commands", "ledger", [1])
    async with world.client() as client:
        assert (await client.get(f"/v1/fanouts/{fleet.id}/stream")).status_code == 503


@tale
async def test_all_streams_together_are_limited(fleet: Fleet) -> None:
    caller = fleet.caller()
    with fleet.world.streams.serving.admitted(caller.key_id):
        watchers = [Watcher(fleet, caller) for _ in range(StreamSettings().per_key)]
        with pytest.raises(Problem, match="too_many_streams"):
            await watchers[-1].over()
        await watchers[0].leave()
        another = Watcher(fleet, caller)
        await pass_time(1)
        assert len(another.events) == 1
        for watcher in (*watchers, another):
            await watcher.leave()


@tale
async def test_the_hub_ends_streams_with_a_word(fleet: Fleet) -> None:
    caller = fleet.caller(expires_at=NOW + 1000)
    revoked, lasting = Watcher(fleet, caller), Watcher(fleet)
    await pass_time(1)
    fleet.world.now += 2000
    await pass_time(HEARTBEAT)
    fleet.world.hub.stopping.set()
    fleet.world.streams.heard.put_nowait(None)
    assert [(await one.over())[-1][1]["code"] for one in (revoked, lasting)] == ["unauthorized", "stopping"]


@tale
async def test_without_kafka_streams_end_with_a_word(fleet: Fleet) -> None:
    fleet.world.streams.failure = busy("unavailable", "no Kafka")
    events = await Watcher(fleet).over()
    assert [(name, data.get("code")) for name, data in events] == [("counts", None), ("ended", "unavailable")]


@tale
async def test_a_fault_of_ours_leaves_nobody_waiting(fleet: Fleet) -> None:
    watcher = Watcher(fleet)
    await pass_time(1)
    fleet.world.history.told["fanouts"] = []
    fleet.world.reads.documents.clear()

    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    fleet.world.reads.list = broken  # type: ignore[method-assign]  # as no owner does
    fleet.tell(fleet.id)
    assert [name for name, _ in await watcher.over()] == ["counts", "ended"]


@tale
async def test_one_who_reads_slowly_is_told_the_newest(fleet: Fleet) -> None:
    stream = fleet.world.hub.watches.stream(fleet.caller(), fleet.id)
    async with aclosing(stream):
        await anext(stream)
        for number in range(1, 10):
            fleet.move(number)
            await pass_time(1)
        chunk = await anext(stream)
    assert chunk.count(b"event: ") == 1
    assert msgspec.json.decode(chunk.partition(b"data: ")[2])["replied"] == 9
