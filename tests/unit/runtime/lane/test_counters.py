"""Counters have meanings; the breaker turns a flood of dead letters into a stop."""

from __future__ import annotations

import msgspec
import pytest

from libs.runtime.lane.counters import MEANINGS, Breaker, Counters
from tests.unit.runtime.lane.lab import LETTERS, Lab, event, events


class Exit(BaseException):
    """Stands in for the end of the process."""


@pytest.fixture(autouse=True)
def deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reason: str, *values: object) -> None:
        raise Exit(reason % values)

    monkeypatch.setattr("libs.runtime.lane.counters.die", die)


def test_every_counter_has_a_meaning() -> None:
    assert {field.name for field in msgspec.structs.fields(Counters)} == set(MEANINGS)
    assert all(MEANINGS.values())


def test_the_breaker_bears_as_many_as_it_may_within_its_window() -> None:
    breaker = Breaker(3, 10)
    for number in (1, 2, 3, 11, 12, 13):
        breaker.trip(number, "?")
    with pytest.raises(Exit, match="4 dead letters in the last 10 events, the newest: the last straw"):
        breaker.trip(14, "the last straw")


def test_a_flood_stops_the_lane_before_its_letters_leave() -> None:
    lab = Lab(breaker=(5, 100))
    with pytest.raises(Exit, match=r"things\.inbox-0-\d+ poison"):
        lab.feed(*events(b"k", range(10), "boom"))
    assert [sent for sent in lab.producer.sent if sent.topic == LETTERS] == []
    assert lab.deliver() == []


def test_a_lane_counts_what_it_does() -> None:
    lab = Lab()
    lab.feed(event(b"a", 0), event(b"a", 1, "boom"), event(b"a", 2, "look"), event(b"b", 3))
    lab.feed(event(b"a", 0), event(b"b", 3))
    counters = lab.lane.counters
    assert (counters.events, counters.skipped) == (6, 2)
    assert (counters.outputs, counters.rows, counters.dead_letters) == (3, 2, 1)
