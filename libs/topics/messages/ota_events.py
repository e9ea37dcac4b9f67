"""``ota.events``: every step of every upgrade."""

from __future__ import annotations

from typing import Literal

from .base import DeviceEvent, Message, Millis
from .ota_control import CampaignState


class UpgradeQueued(DeviceEvent, frozen=True, tag="upgrade_queued"):
    """A device's cohort was opened; the device is told when its turn in the rate comes and it is online."""

    campaign_id: str
    artifact_type: str
    version: str
    at: Millis


class UpgradeNotified(DeviceEvent, frozen=True, tag="upgrade_notified"):
    """The device was told to upgrade."""

    campaign_id: str
    attempt: int
    deadline_at: Millis
    at: Millis


class UpgradeProgressed(DeviceEvent, frozen=True, tag="upgrade_progressed"):
    """The device reports progress, which is never a success by itself."""

    campaign_id: str
    stage: Literal["downloading", "installing"]
    percent: int
    """Of the download."""
    desc: str
    """The device's own words."""
    at: Millis


class UpgradeEnded(DeviceEvent, frozen=True, tag="upgrade_ended"):
    """The upgrade of one device came to its end."""

    campaign_id: str
    outcome: Literal["succeeded", "failed", "timed_out", "rejected", "cancelled"]
    code: int | None
    """The device's failure code: -1 download, -2 signature, -3 installation, -4 other."""
    reason: str
    """A sentence for people."""
    at: Millis


class CampaignChanged(Message, frozen=True, tag="campaign_changed"):
    """A campaign was created, controlled, opened its next group or stopped itself."""

    id: str
    campaign_id: str
    product_id: str
    old: CampaignState | None
    """None on creation."""
    new: CampaignState
    open_percent: int
    by: str
    """The name of the API key, or ``rollout`` where the campaign went on or stopped by itself."""
    reason: str | None
    at: Millis
