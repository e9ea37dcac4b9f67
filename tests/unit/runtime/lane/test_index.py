"""Indexes: always what the rows say."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import Due, Terms
from tests.unit.runtime.lane.lab import Lab, Thing, event, tally

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, kind=st.sampled_from(["add", "delete", "look", "ask", "boom"])),
    st.builds(dict, kind=st.just("add"), due=st.integers(0, 5000), tag=st.sampled_from(["", "red", "blue"])),
)


def index() -> Index:
    return Index(lambda row: (("tag", row.tag),) if row.tag else (), lambda row: row.due or None, tally)


def counts(derived: Index | None) -> dict[Any, int]:
    assert derived is not None
    assert derived.tally is not None
    return derived.tally.counts()


@given(st.lists(st.tuples(KEYS, CHANGES), max_size=30), st.integers(1, 5), st.integers(0, 6000))
def test_an_index_equals_the_one_recomputed_from_the_rows(
    changes: list[tuple[bytes, dict[str, Any]]], size: int, now: int
) -> None:
    lab = Lab(tally=tally)
    inbox = [event(key, n, **change) for n, (key, change) in enumerate(changes)]
    changelog = []
    for start in range(0, len(inbox), size):
        lab.feed(*inbox[start : start + size])
        changelog += lab.deliver()
    fresh = index()
    for key, row in lab.rows().items():
        fresh.put(key, row)
    assert lab.part.index is not None
    assert lab.part.index.snapshot() == fresh.snapshot()
    assert lab.part.index.sizes() == {term: len(keys) for term, keys in fresh.snapshot()[0].items()}
    assert counts(lab.part.index) == Counter(tally(key, row) for key, row in lab.rows().items() if row.tag)
    due = sorted((row.due, key) for key, row in lab.rows().items() if 0 < row.due <= now)
    assert lab.part.index.select(Due(now)) == [key for _, key in due]

    recovered = Lab(changelog, tally=tally).part
    assert recovered.index is not None
    assert recovered.index.snapshot() == fresh.snapshot()
    assert counts(recovered.index) == counts(lab.part.index)


def test_terms_name_the_rows_that_carry_any_of_them_once_each_in_order() -> None:
    found = Index(lambda row: tuple(("tag", tag) for tag in row.tag.split()), None)
    for key, tags in ((b"b", "red blue"), (b"a", "blue"), (b"c", "green")):
        found.put(key, Thing(tag=tags))
    assert found.select(Terms((("tag", "red"), ("tag", "blue")))) == [b"a", b"b"]
    found.put(b"b", None)
    assert found.select(Terms((("tag", "red"),))) == []


def test_a_deadline_is_found_until_its_row_changes() -> None:
    found = index()
    found.put(b"a", Thing(due=100))
    assert [found.select(Due(now)) for now in (99, 100, 100)] == [[], [b"a"], [b"a"]]
    found.put(b"a", Thing(due=2_000))
    assert found.select(Due(1_999)) == []
    found.put(b"a", Thing())
    assert found.select(Due(10_000)) == []
    assert found.snapshot() == ({}, {})
