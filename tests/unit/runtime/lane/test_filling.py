"""An index that is filled with many rows at once is the one that as many single rows make, and goes on like it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane import part as part_module
from libs.runtime.lane.app import LaneApp
from libs.runtime.lane.index import Index
from libs.runtime.lane.rows import Codec, Row, prefix
from libs.runtime.settings import KafkaSettings
from tests.unit.runtime.lane.lab import Lab, Record, Thing, World, event
from tests.unit.runtime.lane.test_app import declare

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from libs.runtime.lane.model import Term


class Short(Row, kw_only=True):
    """The head of a row, and all that the index asks for."""

    tags: tuple[str, ...] = ()
    due: int = 0


class Long(Short, kw_only=True):
    content: dict[str, Any] = msgspec.field(default_factory=dict)


def terms(row: Short) -> list[Term]:
    return [("tag", tag) for tag in row.tags]


def listed(row: Short) -> list[Term]:
    return [("due", row.due % 2), *terms(row)]


def tally(_key: bytes, row: Short) -> str | None:
    return row.tags[0] if row.tags else None


def index(head: Callable[[Any], Hashable] | None = None) -> Index:
    return Index(terms, lambda row: row.due or None, tally, listed, head)


def told(found: Index) -> tuple[Any, ...]:
    assert found.tally is not None
    assert found.listing is not None
    return found.snapshot(), found.sizes(), found.tally.counts(), found.listing.snapshot()


ROWS = st.dictionaries(
    st.binary(min_size=1, max_size=2).filter(lambda key: key[0] > 0),
    st.builds(Long, tags=st.lists(st.sampled_from("abc"), max_size=3).map(tuple), due=st.integers(0, 3000)),
    max_size=20,
)


@given(
    rows=ROWS,
    later=ROWS,
    gone=st.sets(st.binary(min_size=1, max_size=1)),
    size=st.integers(1, 7),
    head=st.sampled_from([None, attrgetter("tags", "due")]),
)
def test_rows_taken_at_once_are_found_like_rows_put_one_by_one(
    rows: dict[bytes, Long], later: dict[bytes, Long], gone: set[bytes], size: int, head: Any
) -> None:
    once, single = index(head), index()
    once.put(b"of before", Long(tags=("c",), due=7))
    filling, given_rows = once.filling(), list(rows.items())
    for start in range(0, len(given_rows), size):
        some = given_rows[start : start + size]
        filling.add([key for key, _ in some], [row for _, row in some])
    filling.finish()
    for key, row in rows.items():
        single.put(key, row)
    assert told(once) == told(single)
    changes: list[tuple[bytes, Long | None]] = [*later.items(), *[(key, None) for key in sorted(gone)]]
    for key, changed in changes:
        once.put(key, changed)
        single.put(key, changed)
    assert told(once) == told(single)


@given(rows=ROWS, dead=st.sets(st.binary(min_size=1, max_size=2).filter(lambda key: key[0] > 0)))
def test_heads_make_the_same_index_as_whole_rows(rows: dict[bytes, Long], dead: set[bytes]) -> None:
    codec = Codec(Long, World)
    changelog = [Record(key, prefix(1) + codec.encode(row), n) for n, (key, row) in enumerate(rows.items())]
    changelog += [Record(key, prefix(2, dead=True) + msgspec.msgpack.encode([2, 0]), 99) for key in sorted(dead)]
    options: dict[str, Any] = {"row": Long, "terms": terms, "deadline": lambda row: row.due or None}
    options |= {"tally": tally, "listing": listed}
    short, whole = Lab(changelog, head=Short, **options).part, Lab(changelog, **options).part
    wanted = index()
    for key, row in rows.items():
        if key not in dead:
            wanted.put(key, row)
    assert short.index is not None
    assert whole.index is not None
    assert told(short.index) == told(whole.index) == told(wanted)
    assert {key for key, _ in short.graves} == {key for key, _ in whole.graves} == dead


def test_an_index_is_whole_wherever_its_building_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Lab()
    first.feed(*[event(b"k%d" % n, n, tag="red" if n % 3 else "blue", due=n) for n in range(11)])
    changelog = first.deliver()
    monkeypatch.setattr(part_module, "BUILD_SLICE", 3)
    again = Lab(changelog)
    assert again.part.index is not None
    assert first.part.index is not None
    assert again.part.index.snapshot() == first.part.index.snapshot()


def test_only_what_the_head_has_is_decoded_until_a_row_is_touched() -> None:
    """Content of another type than declared: what does not look at it does not notice."""
    framed = prefix(1) + msgspec.msgpack.encode([1, 0, ["a"], 5, "no object"])
    lab = Lab([Record(b"k", framed, 0)], row=Long, head=Short, terms=terms, deadline=lambda row: row.due)
    assert lab.part.index is not None
    assert lab.part.index.sizes() == {("tag", "a"): 1}
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        lab.row(b"k")


KINDS = st.sampled_from(["add", "look", "ask", "delete", "boom"])
EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), KINDS, st.sampled_from([None, "", "red", "blue"]), st.integers(0, 2)),
    max_size=12,
)


@given(written=EVENTS, cut=st.integers(0, 12))
def test_rows_with_a_head_stay_frames_and_are_found_like_others(written: list[Any], cut: int) -> None:
    records = [
        event(key.encode(), n, kind, tag=tag, due=due or None) for n, (key, kind, tag, due) in enumerate(written)
    ]
    framed, plain = Lab(head=Thing), Lab()
    for lab in (framed, plain):
        lab.feed(*records[:cut])
        lab.feed(*records[cut:])
    assert all(isinstance(row, bytes) for _, row in framed.part.items())
    assert framed.rows() == plain.rows()
    assert framed.producer.sent == plain.producer.sent
    assert framed.part.index is not None
    assert plain.part.index is not None
    assert framed.part.index.snapshot() == plain.part.index.snapshot()
    assert graves(framed) == graves(plain)
    assert framed.deliver() == plain.deliver()


def graves(lab: Lab) -> list[tuple[bytes, int, int]]:
    """Those of one slice are in no order."""
    return sorted((key, dead.revision, dead.offset) for key, dead in lab.part.graves)


class Other(Row, kw_only=True):
    due: int = 0


@pytest.mark.parametrize("head", [Other, Thing, dict])
def test_a_head_must_be_the_rows_first_fields(head: type[Any]) -> None:
    with pytest.raises(TypeError, match="is not the first fields of"):
        declare(LaneApp("ledger", kafka=KafkaSettings()), row=Long, head=head)


def test_a_field_that_is_declared_again_leaves_its_place() -> None:
    class Again(Short, kw_only=True):
        revision: int = 1

    with pytest.raises(TypeError, match="is not the first fields of"):
        declare(LaneApp("ledger", kafka=KafkaSettings()), row=Again, head=Short)
