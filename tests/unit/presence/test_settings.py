from __future__ import annotations

import pytest

from libs.runtime.settings import SettingsError, load
from services.presence.settings import PresenceSettings


def test_ticks_that_would_count_as_deafness_are_refused() -> None:
    """Every lease would be extended by every pause between two ticks, and none would ever lapse."""
    with pytest.raises(SettingsError, match=r"^FLEETLOG_LANE_TICK_S must be at most 2\.5 for presence: ticks "):
        load(PresenceSettings, {"FLEETLOG_LANE_TICK_S": "2.6"})


@pytest.mark.parametrize("seconds", ["0.05", "2.5"])
def test_a_tick_that_may_be_late_by_its_own_interval_is_taken(seconds: str) -> None:
    assert load(PresenceSettings, {"FLEETLOG_LANE_TICK_S": seconds}).lane.tick_s == float(seconds)
