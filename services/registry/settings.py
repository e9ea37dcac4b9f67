"""Settings of the registry."""

from __future__ import annotations

from libs.runtime.lane.settings import LaneSettings, ReadsSettings
from libs.runtime.settings import ServiceSettings


class RegistrySettings(ServiceSettings, frozen=True, kw_only=True):
    lane: LaneSettings = LaneSettings()
    reads: ReadsSettings = ReadsSettings()
