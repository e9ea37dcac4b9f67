"""Standing still: only where there is more, only while nothing moves, only for the time that was observed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.stalls import Stalls, Standing, in_inbox

TP, OTHER = ("things.inbox", 3), ("things.inbox", 4)
PATIENCE, LONGEST = 60.0, 20.0

moments = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=40),  # seconds since the moment before
        st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),  # records that came, records that were done
    ),
    max_size=40,
)


@given(moments)
def test_a_partition_is_stuck_when_it_stood_still_for_as_long_as_it_may(
    lived: list[tuple[float, tuple[int, int] | None]],
) -> None:
    stalls, now, end, done, still = Stalls(PATIENCE, LONGEST), 0.0, 0, 0, None
    for passed, change in lived:
        now += passed
        if change is None:
            assert stalls.observe({}, now) == []
            still = None
            continue
        came, finished = change
        end += came
        moved = min(done + finished, end) != done
        done = min(done + finished, end)
        if done == end:
            still = None
        elif still is None or moved:
            still = 0.0
        else:
            still += min(passed, LONGEST)
        wanted = [TP] if still is not None and still >= PATIENCE else []
        assert stalls.observe({TP: Standing(end, done, (done,))}, now) == wanted


@given(st.floats(min_value=PATIENCE, max_value=1e6))
def test_a_process_that_was_not_running_is_not_blamed_for_it(away: float) -> None:
    stalls, one = Stalls(PATIENCE, LONGEST), {TP: Standing(9, 5, (5,))}
    assert [stalls.observe(one, now) for now in (0.0, 10.0, 10.0 + away)] == [[], [], []]


def test_one_partition_that_stands_still_beside_others_is_named() -> None:
    stalls = Stalls(PATIENCE, LONGEST)
    for number in range(6):
        assert stalls.observe({TP: Standing(9, 5, (5,)), OTHER: Standing(99, number, (number,))}, number * 10.0) == []
    assert stalls.observe({TP: Standing(9, 5, (5,)), OTHER: Standing(99, 6, (6,))}, 60.0) == [TP]
    assert stalls.observe({TP: Standing(9, 6, (6,)), OTHER: Standing(99, 6, (6,))}, 70.0) == []


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({}, False),
        ({"end": 30}, False),
        ({"highwater": 30}, False),
        ({"cycles": 8}, False),
        ({"done": 11}, True),
        ({"tail": 16}, True),
        ({"swept": 500}, True),
    ],
)
def test_what_counts_as_progress_on_an_inbox(change: dict[str, int], moves: bool) -> None:
    before = {"end": 20, "done": 10, "tail": 15, "highwater": 20, "cycles": 7, "swept": 0}
    after = {**before, **change}
    assert (in_inbox(**after).progress != in_inbox(**before).progress) == moves


def test_an_end_without_records_is_no_standstill_as_long_as_fetches_come_back() -> None:
    """A transaction's marker is the last offset, or retention took what was there."""
    stalls = Stalls(PATIENCE, LONGEST)
    for number in range(12):
        marker = in_inbox(11, 10, tail=10, highwater=11, cycles=number, swept=0)
        hanging = in_inbox(11, 10, tail=10, highwater=11, cycles=7, swept=0)
        unknowing = in_inbox(11, 10, tail=10, highwater=10, cycles=number, swept=0)
        found = stalls.observe({TP: marker, OTHER: hanging, ("things.inbox", 5): unknowing}, number * 10.0)
        assert found == ([OTHER, ("things.inbox", 5)] if number >= 6 else [])
