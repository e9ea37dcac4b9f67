"""``ota.campaign-inbox``, the hub's own part of ``ota.inbox``, and ``ota.campaigns``: what is to be upgraded how."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from .base import Message, Millis, Request

CampaignState: TypeAlias = Literal[
    "created", "awaiting_approval", "running", "paused", "aborted", "cancelled", "finished"
]


class Artifact(msgspec.Struct, frozen=True, gc=False):
    """What is installed."""

    type: str
    """Such as ``firmware``: which part of the device it replaces."""
    version: str
    url: str
    size: int
    """Bytes."""
    md5: str
    """In hex, as `sha256`."""
    sha256: str


class Target(msgspec.Struct, frozen=True, gc=False):
    """Which devices: a list, a tag, or the whole product where both are absent."""

    device_ids: tuple[str, ...] = ()
    tag: str | None = None


class Rollout(msgspec.Struct, frozen=True, gc=False):
    """How an upgrade spreads. A device's cohort, 0 to 99, is a hash of campaign and device: there is no member list."""

    percents: tuple[int, ...]
    """Cumulative: ``(5, 25, 100)`` opens three groups, one after the other."""
    rate_per_minute: int
    success_percent: int
    """Of a group: opens the next one."""
    failure_percent: int
    """Of a group: aborts the campaign. Devices that fell silent after the upgrade count as failed."""
    deadline: int
    """Per device, in ms."""
    retries: int
    """After a failure, never after a rejection."""
    approval: bool
    """Each group waits for an approval."""


class CreateCampaign(Request, frozen=True, tag="create_campaign"):
    """Plan an upgrade; it does nothing before it is started."""

    campaign_id: str
    product_id: str
    artifact: Artifact
    target: Target
    rollout: Rollout


class ControlCampaign(Request, frozen=True, tag="control_campaign"):
    """Start, stop or approve."""

    campaign_id: str
    product_id: str
    action: Literal["start", "pause", "resume", "cancel", "approve"]


class SetRollout(Message, frozen=True, tag="set_rollout"):
    """A broadcast to ``ota.inbox``: all that a partition must know about a campaign; a larger revision replaces it."""

    campaign_id: str
    product_id: str
    revision: int
    state: CampaignState
    artifact: Artifact
    target: Target
    rollout: Rollout
    open_percent: int
    """Cohorts below it are upgraded now."""
    partition: int
    at: Millis


class VersionSeen(Message, frozen=True, tag="version_seen"):
    """A device's status shows another version than before. Only this makes an upgrade a success."""

    product_id: str
    device_id: str
    artifact_type: str
    version: str
    at: Millis


class ExecutionsCounted(Message, frozen=True, tag="executions_counted"):
    """One partition's counters of a campaign, cumulative: the newest of each partition, added up, is the campaign."""

    id: str
    campaign_id: str
    partition: int
    revision: int
    """Of the rollout that the partition had folded."""
    queued: int
    notified: int
    downloading: int
    installing: int
    succeeded: int
    failed: int
    rejected: int
    timed_out: int
    cancelled: int
    at: Millis


class CampaignDocument(Message, frozen=True, tag="campaign_document"):
    """``ota.campaigns``: one campaign as it is now."""

    campaign_id: str
    product_id: str
    state: CampaignState
    artifact: Artifact
    target: Target
    rollout: Rollout
    open_percent: int
    succeeded: int
    failed: int
    open: int
    """Queued, notified, downloading or installing."""
    reason: str | None
    """Of the last automatic stop."""
    created_at: Millis
    updated_at: Millis
