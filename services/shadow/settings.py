"""Settings of the shadow service."""

from __future__ import annotations

from libs.runtime.lane.settings import LaneSettings, ReadsSettings
from libs.runtime.settings import ServiceSettings


class ShadowSettings(ServiceSettings, frozen=True, kw_only=True):
    lane: LaneSettings = LaneSettings()
    reads: ReadsSettings = ReadsSettings()
