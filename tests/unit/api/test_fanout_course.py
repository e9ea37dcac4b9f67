"""When a fan-out that is watched is looked at, what is told, and when it is over."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import fanout_counts
from services.api.fanout_counts import Seen, Started, Tally
from services.api.fanout_course import AGAIN, IDLE, LEAST, MOST, REST, SETTLING, STILL, Course
from tests.unit.api.world import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTITIONS = 4
CLOSE = 1e-6
BEGUN = Started("p1", "red", NOW, PARTITIONS, 10, 0)


def seen(owners: Mapping[str, int], started: Started | None = BEGUN, stored: Mapping[str, int] | None = None) -> Seen:
    store = None if stored is None else Tally(Counter(stored), 0)
    return fanout_counts.seen("f-1", "p1", started, Tally(Counter(owners), 0), stored=store, partitions=PARTITIONS)


OPEN, OVER = seen({"queued": 4, "replied": 6}), seen({"replied": 10})


@given(
    st.lists(st.floats(0, 20), max_size=40),
    st.lists(st.floats(0.001, 5), min_size=1, max_size=60),
)
def test_looks_are_apart_and_nothing_that_moved_is_left_unseen(gaps: list[float], lengths: list[float]) -> None:
    """Whatever is heard when: a look rests, follows what moved within `MOST`, and comes every `IDLE` at any rate."""
    course, ended = Course(OPEN, 0.0), 0.0
    moves = iter([*accumulate(gaps), inf])
    move, unseen = next(moves), 0.0
    for length in lengths:
        while move < course.due():
            course.hear(move)
            move, unseen = next(moves), min(unseen, move)
        begin = course.due()
        assert LEAST - CLOSE <= begin - ended <= IDLE + CLOSE
        assert begin - max(ended, unseen) <= MOST + CLOSE
        course.look(begin)
        ended, unseen = begin + length, inf
        while move < ended:  # another look must follow
            course.hear(move)
            move, unseen = next(moves), min(unseen, move)
        course.see(OPEN, ended)


@given(st.floats(0.001, 100))
def test_a_long_look_is_rested_from(length: float) -> None:
    course = Course(OPEN, 0.0)
    course.look(0.0)
    course.see(OPEN, length)
    course.hear(length)
    assert course.due() - length == pytest.approx(min(MOST, max(LEAST, REST * length)))


def look(course: Course, at: float, found: Seen) -> bool:
    course.look(at)
    return course.see(found, at)


def test_only_what_is_new_is_told() -> None:
    course = Course(OPEN, 0.0)
    assert not look(course, 1.0, OPEN)
    assert look(course, 2.0, seen({"queued": 3, "replied": 7}))
    assert not course.over
    assert look(course, 3.0, OVER)
    assert (course.over, course.counts) == (True, OVER.counts)


def test_who_comes_when_it_is_over_is_told_so_at_once() -> None:
    assert Course(OVER, 0.0).over
    assert Course(seen({"replied": 3}, stored={"replied": 7, "expired": 3}), 0.0).over


def test_members_that_may_still_come_keep_it_open() -> None:
    """Two partitions have not begun: that nobody is open now says nothing, however long it stays so."""
    partly = seen({"rejected": 4}, Started("p1", "red", NOW, 2, 4, 0), {"rejected": 4})
    course = Course(partly, 0.0)
    assert course.started is None
    for at in range(100):
        look(course, float(at), partly)
    assert not course.over
    assert course.due() == 99 + AGAIN
    assert look(course, 100.0, OVER)
    assert course.over


def test_without_the_store_it_is_over_when_nothing_changes_any_more() -> None:
    unstored = seen({"replied": 10}, None)
    course = Course(unstored, 0.0)
    assert not look(course, STILL - 0.1, unstored)
    assert not course.over
    assert look(course, STILL, unstored)
    assert course.over


def test_partitions_that_do_not_answer_are_told_until_they_do() -> None:
    course = Course(OPEN, 0.0)
    course.look(1.0)
    assert course.miss([3, 1], 4.0)
    assert course.counts.missing_partitions == [1, 3]
    assert (course.counts.queued, course.due()) == (4, 4 + AGAIN)
    course.look(5.0)
    assert not course.miss([1, 3], 6.0)
    assert look(course, 7.0, OPEN)
    assert course.counts == OPEN.counts


def test_a_store_that_is_behind_is_asked_again_for_a_while() -> None:
    unstored = seen({"queued": 10}, None)
    course = Course(unstored, 0.0)
    look(course, 1.0, unstored)
    assert course.due() == 1 + AGAIN
    look(course, SETTLING + 1, unstored)
    assert course.due() == SETTLING + 1 + IDLE
    look(course, SETTLING + 2, OPEN)
    assert course.due() == SETTLING + 2 + IDLE
