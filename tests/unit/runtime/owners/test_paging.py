"""Page after page, a reader sees every key once and in order, wherever the partitions are."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.runtime.lane import pages
from libs.runtime.lane.index import Index
from libs.runtime.lane.pages import Page, Wanted, page
from libs.runtime.lane.reads import Reads
from libs.runtime.lane.rows import Row
from libs.runtime.owners.reads import OwnerReads, Unavailable
from libs.runtime.partitioner import partition_of
from libs.topics.codec import encode
from libs.topics.messages.hub import PartitionsOwned

if TYPE_CHECKING:
    from collections.abc import Mapping

TERM = "product:p"


class Thing(Row, kw_only=True):
    shown: bool = True


class Shown(msgspec.Struct):
    name: str


def view(key: bytes, row: Thing | None, _shared: object) -> Shown | None:
    return Shown(key.decode()) if row is not None and row.shown else None


class Part:
    built = True

    def __init__(self, number: int) -> None:
        self.number, self.rows = number, dict[bytes, Thing]()
        self.index = Index(None, None, listing=lambda _row: (("product", "p"),))

    def peek(self, key: bytes) -> Thing | None:
        return self.rows.get(key)

    def put(self, key: bytes, row: Thing | None) -> None:
        self.index.put(key, row)
        if row is None:
            del self.rows[key]
        else:
            self.rows[key] = row


class Fleet:
    """Partitions of one table, spread over workers that answer without HTTP."""

    def __init__(self, keys: Mapping[str, bool], owners: list[int]) -> None:
        """``keys``: whether the view shows them. ``owners``: the worker of each partition."""
        self.owners, self.asked = owners, 0
        self.parts = [Part(number) for number in range(len(owners))]
        for key, shown in keys.items():
            self.part(key).put(key.encode(), Thing(shown=shown))

    def part(self, key: str) -> Part:
        return self.parts[partition_of(key.encode(), len(self.parts))]

    def served(self, worker: int) -> frozenset[int]:
        return frozenset(number for number, owner in enumerate(self.owners) if owner == worker)

    def rows(self, worker: int) -> Reads:
        lane: Any = SimpleNamespace(
            app=SimpleNamespace(tables=SimpleNamespace(actives_ready=True)),
            parts=SimpleNamespace(
                part=self.parts.__getitem__,
                active_parts=lambda: [self.parts[number] for number in self.served(worker)],
            ),
            reference=lambda _part: None,
        )
        return Reads(lane, len(self.parts))

    def of(self, _service: str, _table: str) -> dict[int, PartitionsOwned]:
        claims = {n: PartitionsOwned("s", "t", str(n), str(n), tuple(self.served(n)), 1, 1) for n in set(self.owners)}
        return {number: claims[owner] for number, owner in enumerate(self.owners)}

    async def another(self, *_: object) -> None:
        return None

    async def send(self, method: str, url: str, body: bytes | None = None, query: Any = None) -> tuple[int, bytes]:
        worker, _, path = url.partition("/")
        assert (method, path, body) == ("GET", "s/t/v", None)
        self.asked += 1
        wanted = msgspec.convert(query, Wanted, strict=False)
        return 200, encode(await page(self.rows(int(worker)), view, wanted, lambda: self.served(int(worker))))

    async def page(self, prefix: str = "", after: str = "", limit: int = 100) -> list[str]:
        owners: Any = self
        reads = OwnerReads(owners, partitions=len(self.parts))
        reads._send = self.send  # type: ignore[method-assign]
        try:
            found = await reads.list("s", "t", "v", TERM, prefix=prefix, after=after, limit=limit)
        finally:
            await reads.close()
        assert all(msgspec.json.decode(document) == {"name": key} for key, document in found)
        return [key for key, _ in found]

    async def pages(self, prefix: str, limit: int) -> list[list[str]]:
        """Every page, up to the first that is not full."""
        found = [await self.page(prefix, "", limit)]
        while len(found[-1]) == limit:
            found.append(await self.page(prefix, found[-1][-1], limit))
        return found


KEYS = st.dictionaries(st.text("ab-", min_size=1, max_size=4).map("p/{}".format), st.booleans(), max_size=25)


@settings(max_examples=60)
@given(KEYS, st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(1, 7), st.sampled_from(["", "p/a", "q"]))
def test_the_pages_together_are_the_sorted_list(
    keys: dict[str, bool], owners: list[int], limit: int, prefix: str
) -> None:
    found = asyncio.run(Fleet(keys, owners).pages(prefix, limit))
    assert [key for one in found for key in one] == sorted(
        key for key, shown in keys.items() if shown and key.startswith(prefix)
    )
    assert all(len(one) == limit for one in found[:-1]), "a page that is not full is the last"


async def test_every_owner_is_asked_once_for_a_page() -> None:
    fleet = Fleet({"p/a": True}, [0, 1, 0, 2])
    assert await fleet.page() == ["p/a"]
    assert fleet.asked == 3


async def test_a_page_is_whole_or_unavailable() -> None:
    fleet = Fleet({f"p/d{number}": True for number in range(20)}, [0, 1])
    claims = fleet.of("s", "t")
    fleet.owners = [0, 2]  # of which the reader has not heard
    fleet.of = lambda *_: claims  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as nobody:
        await fleet.page()
    assert nobody.value.partitions == (1,)


async def test_a_page_has_a_limit() -> None:
    fleet = Fleet({}, [0])
    for limit in (0, 1001):
        with pytest.raises(ValueError, match=f"a page of {limit} documents"):
            await fleet.page(limit=limit)


async def test_a_large_page_lets_others_have_their_turn_and_no_key_is_lost_or_doubled_meanwhile() -> None:
    keys = [f"p/d{number:04}" for number in range(1000)]
    fleet = Fleet(dict.fromkeys(keys, True), [0, 0])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            for key in (f"p/x{turns}", f"p/a{turns}"):  # before and behind what is being read
                fleet.part(key).put(key.encode(), Thing())
            fleet.part(keys[turns]).put(keys[turns].encode(), None)
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    found = await fleet.page(limit=1000)
    working.cancel()
    assert turns >= 1000 // pages.TURN
    stayed = set(keys[turns:])
    assert [key for key in found if key in stayed] == sorted(stayed)
    assert found == sorted(set(found))


@pytest.mark.parametrize("asked", [None, "0", "0,1"])
async def test_where_a_partition_moves_while_a_page_is_made_nothing_is_told(asked: str | None) -> None:
    fleet = Fleet({f"p/d{number}": True for number in range(20)}, [0, 0])
    answers = iter([frozenset({0, 1})])
    wanted = Wanted(TERM, partitions=asked)
    found = await page(fleet.rows(0), view, wanted, lambda: next(answers, frozenset()))
    assert found == Page([], [])


async def test_a_worker_tells_only_of_what_it_has_and_is_asked_for() -> None:
    fleet = Fleet({f"p/d{number}": True for number in range(20)}, [0, 0, 1])
    for asked, told in ((None, [0, 1]), ("1,2", [1]), ("2", []), ("77", [])):
        found = await page(fleet.rows(0), view, Wanted(TERM, partitions=asked), lambda: fleet.served(0))
        assert found.partitions == told
        assert [item.key for item in found.items] == sorted(
            key.decode() for number in told for key in fleet.parts[number].rows
        )
