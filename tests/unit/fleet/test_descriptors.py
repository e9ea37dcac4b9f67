from __future__ import annotations

import resource

import pytest

from fleet import descriptors
from fleet.descriptors import OTHERS, TooFewDescriptors, allow, needed
from fleet.plan import CROWD


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits of this process, as a machine with a soft one of 1,024 has them; the last one holds."""
    held = [(1024, 20_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: held.append(limit))
    return held


def test_a_connection_of_a_crowd_costs_one_descriptor() -> None:
    assert needed(10_000) == 10_000 + OTHERS
    assert needed(CROWD) < needed(CROWD - 1)


def test_the_limit_is_raised_as_far_as_the_fleet_needs_it(limits: list[tuple[int, int]]) -> None:
    allow(10_000)
    assert limits[-1] == (needed(10_000), 20_000)


def test_a_small_fleet_changes_no_limit(limits: list[tuple[int, int]]) -> None:
    descriptors.allow(200)
    assert limits == [(1024, 20_000)]


def test_a_fleet_that_the_machine_does_not_allow_is_refused_with_the_limit(limits: list[tuple[int, int]]) -> None:
    with pytest.raises(TooFewDescriptors, match=r"20000 devices need 20200 file descriptors, the limit is 20000"):
        allow(20_000)
    assert limits == [(1024, 20_000)]
