"""Settings of the presence service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime.lane.settings import LaneSettings, ReadsSettings
from libs.runtime.settings import ServiceSettings

from .leases import GAP

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOWEST_TICK = GAP / 2 / 1000
"""Seconds. A tick that is late by its own interval must not count as a gap: gaps extend leases, so none would lapse."""


class PresenceSettings(ServiceSettings, frozen=True, kw_only=True):
    lane: LaneSettings = LaneSettings()
    reads: ReadsSettings = ReadsSettings()

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.lane.tick_s > SLOWEST_TICK:
            deafness = f"ticks more than {GAP // 1000} s apart count as deafness, in which no lease lapses"
            yield "lane_tick_s", f"must be at most {SLOWEST_TICK:g} for presence: {deafness}"
