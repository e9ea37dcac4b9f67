"""Health: ready means assigned and recovered, live means progress under lag."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from libs.runtime.lane.health import PATIENCE, SILENCE, Health


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class App:
    """What `Health` asks of an app."""

    def __init__(self) -> None:
        self.rebalancing, self.waiting, self.owned = False, 0, frozenset[int]()
        self.tables = SimpleNamespace(actives_ready=True)
        self.consumer = SimpleNamespace(lag=lambda: self.waiting, ranges=SimpleNamespace(backlog=0, settled=0))
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


def test_lag_without_progress_ends_liveness_and_progress_restores_it(clock: Clock, app: Any) -> None:
    health, app.waiting = Health(app), 5
    for _ in range(2):
        health.observe()
        assert health.live()
        clock.now += PATIENCE + 1
    health.observe()
    assert not health.live()
    assert "without progress" in health.live().reason
    app.consumer.ranges.settled += 1
    health.observe()
    assert health.live()


def test_a_worker_that_only_waits_is_live(clock: Clock, app: Any) -> None:
    health = Health(app)
    for _ in range(3):
        clock.now += PATIENCE + 1
        health.observe()
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
