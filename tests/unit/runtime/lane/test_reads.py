"""Reads serve rows of owned partitions only, and know whom to ask for others."""

from __future__ import annotations

from typing import Any

import pytest

from libs.runtime.lane.reads import NotOwned, Reads
from tests.unit.runtime.lane.lab import Lab, event


@pytest.fixture
def lab() -> Lab:
    lab = Lab()
    lab.lane.app.tables = _Tables()
    lab.lane.reads = Reads(lab.lane, 1)
    lab.feed(event(b"a", 0), event(b"b", 1), event(b"b", 2, "delete"))
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


def test_keys_live_where_the_java_client_puts_them() -> None:
    reads = Reads(Lab().lane, 24)
    assert [reads.partition(key) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        ((-973932308) & 0x7FFFFFFF) % 24,
        ((-790332482) & 0x7FFFFFFF) % 24,
        ((-985981536) & 0x7FFFFFFF) % 24,
    ]
