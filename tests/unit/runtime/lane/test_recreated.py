"""An inbox that was created anew is not taken for the one whose offsets the rows hold."""

from __future__ import annotations

from typing import Any

import pytest

from libs.runtime.lane import lane as lane_module
from libs.runtime.lane.fail import EXIT_CONFIG
from tests.unit.runtime.lane.lab import Lab, Record, World, broadcast, event


class Died(Exception):
    pass


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def die(reason: str, *args: Any, code: int) -> None:
        assert code == EXIT_CONFIG
        found.append(reason % args)
        raise Died

    monkeypatch.setattr(lane_module, "die", die)
    return found


def of_inbox(topic_id: str, changelog: list[Record] | None = None) -> Lab:
    lab = Lab(changelog or ())
    lab.lane.inbox_id = topic_id
    lab.lane.recognise(lab.part)
    return lab


def test_the_first_rows_go_with_the_name_of_their_inbox() -> None:
    lab = of_inbox("one")
    lab.feed(event(b"a", 0))
    lab.feed(event(b"a", 1), broadcast(2, "everything"), event(b"b", 3))
    changelog = lab.deliver()
    assert [record.key for record in changelog[:2]] == [b"\0shared", b"a"]
    again = of_inbox("one", changelog)
    assert again.lane.shared_of(again.part).inbox == "one"
    assert again.lane.shared_of(again.part).state == World(1)


def test_it_is_named_once() -> None:
    lab = of_inbox("one")
    for offset in range(5):
        lab.feed(event(b"a", offset))
    assert [record.key for record in lab.deliver()].count(b"\0shared") == 1


def test_another_inbox_of_the_same_name_is_refused(deaths: list[str]) -> None:
    lab = of_inbox("one")
    lab.feed(event(b"a", 0))
    with pytest.raises(Died):
        of_inbox("two", lab.deliver())
    [line] = deaths
    assert line.startswith("things.inbox was created anew (its id is two, rows of partition 0 hold offsets of one)")
    assert line.endswith("delete the changelog things-changelog and local data to fold it from its beginning")


def test_a_worker_that_lives_through_it_refuses_at_the_next_assignment(deaths: list[str]) -> None:
    lab = of_inbox("one")
    lab.feed(event(b"a", 0))
    lab.lane.inbox_id = "two"
    with pytest.raises(Died):
        lab.lane.recognise(lab.part)
    assert len(deaths) == 1


def test_rows_without_a_name_take_that_of_the_first_inbox_they_meet() -> None:
    unnamed = Lab()
    unnamed.feed(broadcast(0, "none"), event(b"a", 1))
    lab = of_inbox("one", unnamed.deliver())
    lab.feed(event(b"a", 2))
    shared = lab.lane.shared_of(lab.part)
    assert (shared.inbox, shared.offset, shared.state) == ("one", 0, World(1))
    assert lab.counts() == {b"a": 2}
