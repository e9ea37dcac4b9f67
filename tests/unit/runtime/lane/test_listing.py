"""A listing: always what the rows say, in the order of their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.index import Index
from libs.runtime.lane.listing import Listing
from libs.runtime.lane.reads import Reads
from tests.unit.runtime.lane.lab import Lab, Thing, event

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term

KEYS = st.sampled_from([b"p/a", b"p/b", b"p/bb", b"p/c", b"q/a", b"q/b"])
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, kind=st.sampled_from(["add", "delete", "look", "boom"])),
    st.builds(dict, kind=st.just("add"), tag=st.sampled_from(["", "red", "red blue", "red red", "blue green"])),
    st.builds(dict, kind=st.just("add"), tag=st.integers(2, 20).map(lambda n: " ".join(map(str, range(n // 3, n))))),
)


def listed(row: Thing) -> tuple[tuple[str, str], ...]:
    """Under its tags, and under whether it was added an odd number of times, which every addition changes."""
    return (("odd", "yes" if row.count % 2 else "no"), *(("tag", tag) for tag in row.tag.split()))


def expected(rows: dict[bytes, Any]) -> dict[Term, list[bytes]]:
    terms = {term for row in rows.values() for term in listed(row)}
    return {term: sorted(key for key, row in rows.items() if term in listed(row)) for term in terms}


def snapshot(index: Index | None) -> dict[Term, list[bytes]]:
    assert index is not None
    assert index.listing is not None
    return index.listing.snapshot()


@given(st.lists(st.tuples(KEYS, CHANGES), max_size=30), st.integers(1, 5))
def test_a_listing_equals_the_one_made_anew_from_the_rows(
    changes: list[tuple[bytes, dict[str, Any]]], size: int
) -> None:
    lab = Lab(listing=listed)
    inbox = [event(key, n, **change) for n, (key, change) in enumerate(changes)]
    changelog = []
    for start in range(0, len(inbox), size):
        lab.feed(*inbox[start : start + size])
        changelog += lab.deliver()
        assert snapshot(lab.part.index) == expected(lab.rows())
    assert snapshot(Lab(changelog, listing=listed).part.index) == expected(lab.rows())


PARTS = st.sets(st.text("ab/-", max_size=4).map(str.encode))


@given(st.lists(PARTS, max_size=4), st.text("ab/-", max_size=3), st.text("ab/-", max_size=4), st.integers(1, 6))
def test_a_page_is_a_piece_of_the_sorted_keys_of_all_partitions(
    spread: list[set[bytes]], prefix: str, after: str, limit: int
) -> None:
    term, listings = ("all", ""), []
    for keys in spread:
        listings.append(Index(None, None, listing=lambda _row: (term,)))
        for key in keys:
            listings[-1].put(key, Thing())
    lane: Any = type("Lane", (), {"parts": type("Parts", (), {"part": lambda _, n: _Part(listings[n])})()})()
    wanted = sorted(key for keys in spread for key in keys if key.startswith(prefix.encode()) and key > after.encode())
    page = Reads(lane, 1).page(range(len(spread)), term, prefix.encode(), after.encode(), limit)
    assert page == wanted[:limit]
    assert Reads(lane, 1).page(range(len(spread)), ("none", ""), b"", b"", limit) == []


class _Part:
    def __init__(self, index: Index) -> None:
        self.index = index


def test_a_row_that_is_listed_nowhere_costs_no_place() -> None:
    listing = Listing(listed)
    listing.put(b"p/a", Thing(tag="red"))
    listing.put(b"p/a", None)
    listing.put(b"p/b", None)
    assert listing.snapshot() == {}
    assert not listing._of
