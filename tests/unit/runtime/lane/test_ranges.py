"""Ranges: an offset may be committed when everything before it is acknowledged, and no slice goes missing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.ranges import LostSlice, Ranges
from tests.unit.runtime.lane.lab import Record

TP = ("things.inbox", 3)


class Slice(msgspec.Struct, eq=False):
    records: list[Record]
    previous: int
    tp: tuple[str, int] = TP
    acked: bool = False

    @property
    def offset(self) -> int:
        return self.records[-1].offset


def hand_out(ranges: Ranges, *offsets: int) -> Slice:
    records = [Record(b"k", b"", offset) for offset in offsets]
    return Slice(records, ranges.hand_out(TP, records))


@given(st.permutations(range(6)))
def test_only_what_is_acknowledged_without_a_hole_may_be_committed(order: list[int]) -> None:
    ranges = Ranges()
    ranges.seek(TP, 10)
    slices = [hand_out(ranges, 10 + 2 * n, 11 + 2 * n) for n in range(6)]
    for one in slices:
        assert ranges.begin(one) == one.records
    acknowledged: set[int] = set()
    for n in order:
        ranges.acknowledge(slices[n])
        acknowledged.add(n)
        whole = next((m for m in range(7) if m not in acknowledged), 6)
        assert ranges.committable(TP) == (10 + 2 * whole if whole else None)
        assert ranges.backlog == 12 - 2 * len(acknowledged)
    assert ranges.settled == 12


def test_a_slice_that_was_handed_out_and_never_begun_is_missed_by_the_next() -> None:
    ranges = Ranges()
    ranges.seek(TP, 0)
    ranges.begin(hand_out(ranges, 0, 1))
    hand_out(ranges, 2, 3)
    with pytest.raises(LostSlice, match="2 is next, a slice follows 4"):
        ranges.begin(hand_out(ranges, 4))


def test_offsets_that_compaction_or_markers_left_out_are_no_loss() -> None:
    ranges = Ranges()
    ranges.seek(TP, 0)
    ranges.begin(hand_out(ranges, 5, 9))
    one = hand_out(ranges, 20)
    assert ranges.begin(one) == one.records


def test_records_that_are_fetched_again_after_a_seek_back_begin_once() -> None:
    ranges = Ranges()
    ranges.seek(TP, 0)
    ranges.begin(hand_out(ranges, 0, 1, 2))
    ranges.seek(TP, 1)
    assert [record.offset for record in ranges.begin(hand_out(ranges, 1, 2, 3))] == [3]


def test_nothing_is_known_of_a_partition_before_it_is_sought() -> None:
    ranges = Ranges()
    assert ranges.tail(TP) is None
    ranges.seek(TP, 17)
    assert ranges.tail(TP) == 17
    hand_out(ranges, 17, 18)
    assert ranges.tail(TP) == 19


def test_what_was_given_up_is_never_committed_until_it_comes_back() -> None:
    ranges = Ranges()
    ranges.seek(TP, 0)
    given_up, after = hand_out(ranges, 0), hand_out(ranges, 1)
    ranges.begin(given_up)
    ranges.begin(after)
    ranges.forget(given_up)
    ranges.acknowledge(after)
    assert (ranges.committable(TP), ranges.touched(), ranges.backlog) == (None, [], 0)
    ranges.reset()
    ranges.seek(TP, 0)
    again = hand_out(ranges, 0, 1)
    ranges.begin(again)
    ranges.acknowledge(again)
    assert (ranges.committable(TP), ranges.touched()) == (2, [TP])


def test_lag_counts_what_is_fetched_and_what_is_not() -> None:
    ranges = Ranges()
    ranges.seek(TP, 5)
    assert ranges.lag(lambda _: 9) == 4
    one = hand_out(ranges, 5, 6)
    ranges.begin(one)
    ranges.acknowledge(one)
    assert ranges.lag(lambda _: 9) == 2
    assert ranges.lag(lambda _: 0) == 0, "a highwater that is not known yet is no lag"
