from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.plan import Connect, Cut, Script, Send
from fleet.storm import CALM, length, storm

DEVICES, VICTIMS, WITHIN = 40, 30, 2_000

storms = st.builds(storm, st.integers(0, 2**32), st.just(DEVICES), st.just(VICTIMS), within=st.just(WITHIN))


def cuts(script: Script) -> list[int]:
    return [action.at for action in script.actions if isinstance(action, Cut)]


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_storm(seed: int) -> None:
    assert storm(seed, 20, 10) == storm(seed, 20, 10)


@given(storms)
def test_all_victims_are_cut_at_the_same_moment_and_nobody_else_is(fleet: tuple[Script, ...]) -> None:
    assert [len(cuts(script)) for script in fleet].count(1) == VICTIMS
    assert len({at for script in fleet for at in cuts(script)}) == 1
    assert all((script.behaviour == "storm") is bool(cuts(script)) for script in fleet)


@given(storms)
def test_victims_return_within_the_time_given(fleet: tuple[Script, ...]) -> None:
    for script in fleet:
        connects = [action.at for action in script.actions if isinstance(action, Connect)]
        for cut in cuts(script):
            assert len(connects) == 2
            assert cut <= connects[1] < cut + WITHIN


@given(storms)
def test_everybody_is_connected_before_the_storm_and_after_it(fleet: tuple[Script, ...]) -> None:
    (cut,) = {at for script in fleet for at in cuts(script)}
    for script in fleet:
        connects = [action.at for action in script.actions if isinstance(action, Connect)]
        assert connects[0] <= cut - CALM
        assert connects[-1] <= length(DEVICES, WITHIN) - CALM


@given(storms)
def test_every_script_is_possible_for_a_device_and_in_order(fleet: tuple[Script, ...]) -> None:
    for script in fleet:
        times = [action.at for action in script.actions]
        assert times == sorted(times)
        up = False
        for action in script.actions:
            assert up is not isinstance(action, Connect)
            up = not isinstance(action, Cut)
            assert isinstance(action, Connect | Cut | Send)


@pytest.mark.parametrize(
    ("devices", "victims", "within", "rate"), [(5, 0, 100, 1.0), (5, 6, 100, 1.0), (5, 5, 0, 1.0), (5, 5, 100, 0.0)]
)
def test_what_is_no_storm_is_refused(devices: int, victims: int, within: int, rate: float) -> None:
    with pytest.raises(ValueError, match="a storm needs"):
        storm(1, devices, victims, within=within, rate=rate)
