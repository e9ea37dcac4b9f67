from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.plan import SHARES, SHORTEST, Connect, Cut, Goodbye, Script, Send, TakeOver, plan
from libs.topics.identity import device_key

fleets = st.builds(
    plan,
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(SHORTEST, 30),
    rate=st.sampled_from([0.5, 2.0, 5.0]),
)


@given(st.integers(), st.integers(1, 20))
def test_the_same_arguments_give_the_same_scripts(seed: int, devices: int) -> None:
    assert plan(seed, devices, 10) == plan(seed, devices, 10)


def test_another_seed_gives_another_fleet() -> None:
    assert plan(1, 20, 10) != plan(2, 20, 10)


@given(fleets)
def test_every_script_is_possible_for_a_device(fleet: tuple[Script, ...]) -> None:
    for script in fleet:
        up = False
        for action in script.actions:
            match action:
                case Connect():
                    assert not up
                    up = True
                case Goodbye() | Cut():
                    assert up
                    up = False
                case Send() | TakeOver():
                    assert up


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(SHORTEST, 30))
def test_actions_are_in_order_and_within_the_run(seed: int, devices: int, seconds: int) -> None:
    for script in plan(seed, devices, seconds):
        times = [action.at for action in script.actions]
        assert times == sorted(times)
        assert all(0 <= at < seconds * 1000 for at in times)


@given(fleets)
def test_exactly_one_device_is_taken_over(fleet: tuple[Script, ...]) -> None:
    takeovers = [script for script in fleet for action in script.actions if isinstance(action, TakeOver)]
    assert [script.behaviour for script in takeovers] == ["takeover"]


@given(fleets)
def test_a_cut_comes_at_the_same_moment_as_a_publish(fleet: tuple[Script, ...]) -> None:
    for script in fleet:
        for before, action in zip(script.actions, script.actions[1:], strict=False):
            if isinstance(action, Cut):
                assert before == Send(action.at, "weather")


@given(fleets)
def test_devices_have_names_of_their_own(fleet: tuple[Script, ...]) -> None:
    names = {(script.product_id, script.device_id) for script in fleet}
    assert len(names) == len(fleet)
    assert all(device_key(*name) for name in names)


def test_a_large_fleet_has_every_behaviour_in_its_share() -> None:
    counts = Counter(script.behaviour for script in plan(7, 200, 20))
    assert {behaviour: counts[behaviour] for behaviour, _ in SHARES} == {b: round(s * 200) for b, s in SHARES}
    assert counts["takeover"] == 1


def test_a_fleet_of_seven_has_every_behaviour_once() -> None:
    assert Counter(script.behaviour for script in plan(7, 7, 20)).most_common(1)[0][1] == 1


def test_devices_that_never_return_and_absent_ones_stay_away() -> None:
    fleet = plan(7, 200, 20)
    assert all(script.actions == () for script in fleet if script.behaviour == "absent")
    gone = [script for script in fleet if script.behaviour == "gone"]
    assert all(isinstance(script.actions[-1], Goodbye | Cut) for script in gone)
    assert all(sum(isinstance(action, Connect) for action in script.actions) == 1 for script in gone)


def test_a_steady_device_sends_at_the_rate_asked_for() -> None:
    (script,) = (s for s in plan(3, 7, 60, rate=4.0) if s.behaviour == "steady")
    sends = [action for action in script.actions if isinstance(action, Send)]
    assert 0.9 * 4 * 58 < len(sends) < 1.1 * 4 * 60


def test_a_prefix_keeps_fleets_apart() -> None:
    assert {script.product_id for script in plan(1, 8, 10, prefix="mine")} == {
        "mine-airport",
        "mine-garden",
        "mine-harbour",
        "mine-rooftop",
    }


@pytest.mark.parametrize(("devices", "seconds", "rate"), [(0, 10, 1.0), (1, SHORTEST - 1, 1.0), (1, 10, 0.0)])
def test_a_run_without_room_is_refused(devices: int, seconds: int, rate: float) -> None:
    with pytest.raises(ValueError, match="a run needs a device"):
        plan(1, devices, seconds, rate=rate)
