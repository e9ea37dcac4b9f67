"""Whom a reader asks, and what it does when that one does not answer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from libs.runtime.owners.reads import OwnerReads, Unavailable
from libs.runtime.partitioner import partition_of
from libs.topics.identity import InvalidName
from libs.topics.messages.hub import PartitionsOwned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

PARTITIONS = 4
KEYS = [f"p/d{number}" for number in range(12)]
WHERE = {key: partition_of(key.encode(), PARTITIONS) for key in KEYS}
WHERE_ALL = set(range(PARTITIONS))


class World:
    """Owners as a test announces them, and workers that serve what the test gives them."""

    def __init__(self) -> None:
        self.claims: dict[int, PartitionsOwned] = {}
        self.waited: list[int] = []
        self.announced_on_wait: dict[int, PartitionsOwned] = {}
        self.stack = AsyncExitStack()

    def of(self, _service: str, _table: str) -> Mapping[int, PartitionsOwned]:
        return self.claims

    async def another(
        self, _service: str, _table: str, partition: int, than: PartitionsOwned | None, until: float
    ) -> PartitionsOwned | None:
        self.waited.append(partition)
        found = self.announced_on_wait.get(partition, self.claims.get(partition))
        if found is None or found == than:
            await asyncio.sleep(0)
            assert until > asyncio.get_running_loop().time()
            return None
        return found

    async def worker(self, name: str, serves: set[int]) -> Worker:
        worker = Worker(name, serves)
        await self.stack.enter_async_context(worker.server)
        return worker

    def reads(self, timeout: float = 5.0) -> OwnerReads:
        owners: Any = self
        made = OwnerReads(owners, partitions=PARTITIONS, timeout=timeout)
        self.stack.push_async_callback(made.close)
        return made


class Worker:
    def __init__(self, name: str, serves: set[int]) -> None:
        self.name, self.serves, self.asked = name, serves, list[str]()
        app = web.Application()
        app.router.add_get("/s/t/tally", self._tally)
        app.router.add_get("/s/t/v/{product}/{device}", self._one)
        app.router.add_post("/s/t/v", self._batch)
        self.server = TestServer(app)
        self.broken = False
        self.slow: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.batches: list[int] = []

    def claim(self, *partitions: int, generation: int = 1) -> dict[int, PartitionsOwned]:
        url = str(self.server.make_url("")).rstrip("/")
        announced = PartitionsOwned("s", "t", self.name, url, partitions, generation, at=generation)
        return dict.fromkeys(partitions, announced)

    async def _one(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['product']}/{request.match_info['device']}"
        self.asked.append(key)
        if self.broken or key.endswith("poison"):
            return web.Response(status=500)
        if partition_of(key.encode(), PARTITIONS) not in self.serves:
            return web.json_response({"code": "not_served_here"}, status=421)
        if key.endswith("nobody"):
            return web.json_response({"code": "unknown_key"}, status=404)
        return web.json_response({"by": self.name})

    async def _batch(self, request: web.Request) -> web.Response:
        keys = (await request.json())["keys"]
        self.batches.append(len(keys))
        self.asked += keys
        if self.broken or any(key.endswith("poison") for key in keys):
            return web.Response(status=500)
        if self.slow:
            self.reached.set()
            await self.slow.wait()
        elsewhere = [key for key in keys if partition_of(key.encode(), PARTITIONS) not in self.serves]
        mine = [key for key in keys if key not in elsewhere]
        found = {key: {"by": self.name} for key in mine if not key.endswith("nobody")}
        return web.json_response(
            {"found": found, "missing": [key for key in mine if key not in found], "elsewhere": elsewhere}
        )

    async def _tally(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"partitions": {number: {"online": 10**number, self.name: 1} for number in self.serves}}
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    async with made.stack:
        yield made


async def get(reads: OwnerReads, key: str) -> Any:
    raw = await reads.get("s", "t", "v", *key.split("/"))
    return None if raw is None else msgspec.json.decode(raw)["by"]


async def test_a_key_is_asked_of_its_owner_alone(world: World) -> None:
    a, b = await world.worker("a", {0, 1}), await world.worker("b", {2, 3})
    world.claims = a.claim(0, 1) | b.claim(2, 3)
    reads = world.reads()
    assert [await get(reads, key) for key in KEYS] == ["a" if WHERE[key] < 2 else "b" for key in KEYS]
    assert world.waited == []


async def test_nothing_known_of_a_key_is_an_answer(world: World) -> None:
    a = await world.worker("a", WHERE_ALL)
    world.claims = a.claim(*WHERE_ALL)
    assert await get(world.reads(), "p/nobody") is None


async def test_who_refuses_is_asked_once_and_then_the_new_owner(world: World) -> None:
    former, now = await world.worker("a", set()), await world.worker("b", WHERE_ALL)
    world.claims = former.claim(*WHERE_ALL)
    world.announced_on_wait = now.claim(*WHERE_ALL, generation=2)
    assert await get(world.reads(), KEYS[0]) == "b"
    assert (former.asked, now.asked) == ([KEYS[0]], [KEYS[0]])


async def test_who_is_gone_is_not_waited_for_but_the_successor_is(world: World) -> None:
    gone, now = await world.worker("a", WHERE_ALL), await world.worker("b", WHERE_ALL)
    world.claims = gone.claim(*WHERE_ALL)
    await gone.server.close()
    world.announced_on_wait = now.claim(*WHERE_ALL, generation=2)
    assert await get(world.reads(), KEYS[0]) == "b"


async def test_a_partition_without_an_owner_gets_one_in_time_or_is_unavailable(world: World) -> None:
    a = await world.worker("a", WHERE_ALL)
    reads = world.reads()
    with pytest.raises(Unavailable, match=f"s/t, partitions: {WHERE[KEYS[0]]}") as nobody:
        await get(reads, KEYS[0])
    assert nobody.value.partitions == (WHERE[KEYS[0]],)
    world.announced_on_wait = a.claim(*WHERE_ALL)
    assert await get(reads, KEYS[0]) == "a"


async def test_two_refusals_are_enough(world: World) -> None:
    a, b = await world.worker("a", set()), await world.worker("b", set())
    world.claims, world.announced_on_wait = a.claim(*WHERE_ALL), b.claim(*WHERE_ALL, generation=2)
    with pytest.raises(Unavailable):
        await get(world.reads(), KEYS[0])
    assert len(a.asked) == len(b.asked) == 1


async def test_an_owner_that_fails_is_not_asked_in_vain_again(world: World) -> None:
    a = await world.worker("a", WHERE_ALL)
    world.claims, a.broken = a.claim(*WHERE_ALL), True
    with pytest.raises(Unavailable):
        await get(world.reads(), KEYS[0])
    assert len(a.asked) == 1


async def test_what_is_asked_together_goes_in_one_request_to_each_owner(world: World) -> None:
    a, b = await world.worker("a", {0, 1}), await world.worker("b", {2, 3})
    world.claims = a.claim(0, 1) | b.claim(2, 3)
    reads = world.reads()
    found = await asyncio.gather(*(get(reads, key) for key in [*KEYS, "p/nobody"]))
    assert found == [*("a" if WHERE[key] < 2 else "b" for key in KEYS), None]
    assert sorted(a.batches + b.batches) == sorted([len(a.asked), len(b.asked)])
    assert sorted(a.asked + b.asked) == sorted([*KEYS, "p/nobody"])


async def test_each_of_those_asked_together_finds_its_own_owner(world: World) -> None:
    """The worker that is asked has given half of its partitions away, of which the reader has not heard."""
    a, b = await world.worker("a", {0, 1}), await world.worker("b", {2, 3})
    world.claims, world.announced_on_wait = a.claim(*WHERE_ALL), b.claim(2, generation=2)
    found = await asyncio.gather(*(get(world.reads(), key) for key in KEYS), return_exceptions=True)
    for key, one in zip(KEYS, found, strict=True):
        if WHERE[key] == 3:
            assert isinstance(one, Unavailable)
            assert one.partitions == (3,)
        else:
            assert one == ("a" if WHERE[key] < 2 else "b")


async def test_a_row_that_cannot_be_shown_fails_nobody_else(world: World) -> None:
    a = await world.worker("a", WHERE_ALL)
    world.claims = a.claim(*WHERE_ALL)
    reads = world.reads()
    found = await asyncio.gather(*(get(reads, key) for key in ["p/poison", *KEYS]), return_exceptions=True)
    assert isinstance(found[0], Unavailable)
    assert found[1:] == ["a"] * len(KEYS)


async def test_who_waits_behind_a_slow_request_waits_no_longer_than_for_an_answer(world: World) -> None:
    slow, now = await world.worker("a", WHERE_ALL), await world.worker("b", WHERE_ALL)
    slow.slow = asyncio.Event()
    world.claims, world.announced_on_wait = slow.claim(*WHERE_ALL), now.claim(*WHERE_ALL, generation=2)
    reads = world.reads(timeout=1.5)
    reads._session._timeout = aiohttp.ClientTimeout(total=300)  # of the request, which must not matter
    first = [asyncio.create_task(get(reads, key)) for key in KEYS[:3]]
    await asyncio.wait_for(slow.reached.wait(), 30)
    behind = asyncio.create_task(get(reads, KEYS[3]))
    assert await asyncio.gather(*first, behind) == ["b"] * 4
    assert KEYS[3] not in slow.asked
    slow.slow.set()


async def test_a_batch_is_split_by_owner_and_what_moved_is_asked_again(world: World) -> None:
    a, b = await world.worker("a", {0}), await world.worker("b", {1, 2})
    world.claims = a.claim(0, 1) | b.claim(2)
    world.announced_on_wait = b.claim(1, 2, generation=2)
    batch = await world.reads().batch("s", "t", "v", [*KEYS, KEYS[0], "p/nobody"])
    by = {key: msgspec.json.decode(raw)["by"] for key, raw in batch.found.items()}
    assert by == {key: "ab"[WHERE[key] > 0] for key in KEYS if WHERE[key] < 3}
    lost = partition_of(b"p/nobody", PARTITIONS) == 3
    assert batch.missing == (() if lost else ("p/nobody",))
    assert {*batch.unavailable} == {key for key in [*KEYS, "p/nobody"] if partition_of(key.encode(), PARTITIONS) == 3}
    assert len(b.asked) == len(set(b.asked)), "each key was asked once of whoever answered"


async def test_a_batch_has_a_limit_and_takes_device_keys_only(world: World) -> None:
    reads = world.reads()
    with pytest.raises(ValueError, match="1001 keys where 1000 are the most"):
        await reads.batch("s", "t", "v", ["p/d"] * 1001)
    with pytest.raises(InvalidName):
        await reads.batch("s", "t", "v", ["p/d", "broadcast"])
    with pytest.raises(InvalidName):
        await reads.get("s", "t", "v", "p/q", "d")


async def test_a_tally_takes_each_partition_from_its_owner_alone(world: World) -> None:
    """A former owner that does not know of its loss tells partitions that are counted elsewhere."""
    a, b = await world.worker("a", {0, 1, 2, 3}), await world.worker("b", {2, 3})
    world.claims = a.claim(0, 1) | b.claim(2, 3)
    assert await world.reads().tally("s", "t") == {"online": 1111, "a": 2, "b": 2}


async def test_a_tally_with_a_gap_is_none(world: World) -> None:
    a = await world.worker("a", {0, 1, 3})
    world.claims = a.claim(*WHERE_ALL)
    with pytest.raises(Unavailable) as nobody:
        await world.reads().tally("s", "t")
    assert nobody.value.partitions == (2,)
