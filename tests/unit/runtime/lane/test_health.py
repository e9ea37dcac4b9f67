"""Health: ready means assigned and recovered, live means no partition stands still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from libs.runtime.lane.health import SILENCE, Health


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class App:
    """What `Health` asks of an app."""

    def __init__(self) -> None:
        self.rebalancing, self.owned = False, frozenset[int]()
        self.tables = SimpleNamespace(actives_ready=True)
        self.lanes = {"things": SimpleNamespace(reads=SimpleNamespace(owned=lambda: self.owned))}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("libs.runtime.lane.health.time", clock)
    return clock


@pytest.fixture
def app() -> Any:
    return App()


def test_a_worker_is_not_ready_before_it_is_observed_to_be(clock: Clock, app: Any) -> None:
    health = Health(app)
    assert not health.ready()
    health.observe()
    assert health.ready()


@pytest.mark.parametrize(
    ("rebalancing", "recovered", "reason"),
    [(True, True, "partitions are being assigned"), (False, False, "rows are being recovered")],
)
def test_a_worker_that_is_not_ready_says_why(
    clock: Clock, app: Any, rebalancing: bool, recovered: bool, reason: str
) -> None:
    app.rebalancing, app.tables.actives_ready = rebalancing, recovered
    health = Health(app)
    health.observe()
    assert not health.ready()
    assert health.ready().reason == reason


def test_a_worker_with_a_partition_that_stands_still_is_not_live(clock: Clock, app: Any) -> None:
    health = Health(app)
    health.observe()
    assert health.live()
    health.watch.stuck = "no progress for 60 s in things.inbox-1"
    assert not health.live()
    assert health.live().reason == "no progress for 60 s in things.inbox-1"
    health.watch.stuck = ""
    assert health.live()


def test_an_event_loop_that_does_not_turn_is_not_live(clock: Clock, app: Any) -> None:
    health = Health(app)
    health.observe()
    clock.now += SILENCE + 1
    assert not health.live()
    assert health.live().reason == "the event loop does not turn"


def test_listeners_hear_of_every_change_of_ownership_once(clock: Clock, app: Any) -> None:
    health, heard = Health(app), list[dict[str, frozenset[int]]]()
    health.on_owners.append(heard.append)
    for owned in ({1, 2}, {1, 2}, set(), {2}):
        app.owned = frozenset(owned)
        health.owners_changed()
    assert heard == [{"things": frozenset(owned)} for owned in ({1, 2}, set(), {2})]
