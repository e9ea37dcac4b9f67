from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.activity import Activity

WINDOW = 30_000
MESSAGES = st.lists(st.tuples(st.sampled_from([b"p/a", b"p/b", b"p/c", b"p/d"]), st.integers(0, 20_000)), max_size=60)


def marks(messages: list[tuple[bytes, int]], capacity: int) -> list[tuple[bytes, int]]:
    """(key, time) of the marks; messages are (key, ms since the one before)."""
    activity, now, found = Activity(WINDOW, capacity), 1_560_432_000_000, []
    for key, pause in messages:
        now += pause
        if activity.due(key, now):
            found.append((key, now))
        assert len(activity) <= 2 * capacity
    return found


@given(MESSAGES, st.integers(1, 4))
def test_no_device_is_marked_twice_within_the_window(messages: list[tuple[bytes, int]], capacity: int) -> None:
    found = marks(messages, capacity)
    for key in {key for key, _ in found}:
        times = [at for other, at in found if other == key]
        assert all(later - earlier >= WINDOW for earlier, later in itertools.pairwise(times))


@given(MESSAGES)
def test_a_message_after_the_window_is_always_marked(messages: list[tuple[bytes, int]]) -> None:
    found, now = marks(messages, 100), 1_560_432_000_000
    for key, pause in messages:
        now += pause
        assert any(other == key and now - WINDOW < at <= now for other, at in found)


def test_more_devices_than_there_is_room_for_stay_unmarked_until_the_next_window() -> None:
    activity = Activity(WINDOW, capacity=1)
    assert [activity.due(b"p/a", 100_000), activity.due(b"p/b", 100_001)] == [True, False]
    assert activity.due(b"p/b", 130_001)


def test_a_clock_that_is_set_back_does_not_mute_a_device() -> None:
    activity = Activity(WINDOW)
    assert activity.due(b"p/a", 10_000_000)
    assert activity.due(b"p/a", 1_000_000)
