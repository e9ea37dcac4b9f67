"""Reads serve rows of owned partitions only, and know whom to ask for others."""

from __future__ import annotations

from typing import Any

import pytest

from libs.runtime.lane.reads import NotOwned, Reads
from tests.unit.runtime.lane.lab import Lab, event, tally


@pytest.fixture
def lab() -> Lab:
    lab = Lab(tally=tally)
    lab.lane.app.tables = _Tables()
    lab.lane.reads = Reads(lab.lane, 1)
    lab.feed(event(b"a", 0, tag="red"), event(b"b", 1, tag="red"), event(b"b", 2, "delete"))
    return lab


class _Tables:
    actives_ready = True


def test_a_row_is_read_as_of_the_last_event(lab: Lab) -> None:
    row: Any = lab.lane.reads.get(b"a")
    assert row.count == 1
    assert lab.lane.reads.get(b"b") is None, "deleted"
    assert lab.lane.reads.get(b"c") is None, "never seen"


def test_a_row_that_was_not_touched_since_recovery_is_read_too(lab: Lab) -> None:
    again = Lab(lab.deliver())
    again.lane.app.tables = _Tables()
    reads = Reads(again.lane, 1)
    row: Any = reads.get(b"a")
    assert row.count == 1
    assert isinstance(again.part.rows[b"a"], bytes), "reading leaves it as it is"


def test_a_key_of_another_partition_is_refused_by_its_partition(lab: Lab) -> None:
    reads = Reads(lab.lane, 1000)
    with pytest.raises(NotOwned) as refused:
        reads.get(b"a")
    assert refused.value.partition == reads.partition(b"a")


def test_nothing_is_owned_during_a_rebalance_nor_before_recovery(lab: Lab) -> None:
    assert lab.lane.reads.owned() == {0}
    lab.part.built = False
    assert lab.lane.reads.owned() == frozenset()
    lab.part.built = True
    lab.lane.app.tables.actives_ready = False
    assert lab.lane.reads.owned() == frozenset()


def test_rows_that_live_are_counted_by_partition_and_value(lab: Lab) -> None:
    lab.feed(event(b"aa", 3, tag="red"), event(b"c", 4, tag="blue"), event(b"d", 5))
    assert lab.lane.reads.tally() == {0: {("a", "red"): 2, ("c", "blue"): 1}}
    lab.feed(event(b"a", 6, tag="blue"), event(b"c", 7, "delete"))
    assert lab.lane.reads.tally() == {0: {("a", "red"): 1, ("a", "blue"): 1}}
    lab.lane.app.tables.actives_ready = False
    assert lab.lane.reads.tally() == {}


def test_a_lane_without_tally_counts_nothing() -> None:
    plain = Lab()
    plain.lane.app.tables = _Tables()
    plain.feed(event(b"a", 0, tag="red"))
    assert Reads(plain.lane, 1).tally() == {0: {}}


def test_keys_live_where_the_java_client_puts_them() -> None:
    reads = Reads(Lab().lane, 24)
    assert [reads.partition(key) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        ((-973932308) & 0x7FFFFFFF) % 24,
        ((-790332482) & 0x7FFFFFFF) % 24,
        ((-985981536) & 0x7FFFFFFF) % 24,
    ]
