"""Upgrades over the air."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.ota import OtaProgressReported
from libs.topics.messages.ota_control import (
    CampaignDocument,
    ControlCampaign,
    CreateCampaign,
    ExecutionsCounted,
    SetRollout,
    VersionSeen,
)
from libs.topics.messages.ota_events import (
    CampaignChanged,
    UpgradeEnded,
    UpgradeNotified,
    UpgradeProgressed,
    UpgradeQueued,
)
from libs.topics.topic import DEVICE_KEY, FOREVER, MONTH, STATE, Topic, changelog

from . import presence, registry

TOPICS: Final = (
    Topic(
        name=names.OTA_INBOX,
        purpose="All that the upgrade of single devices folds: rollout control, progress, versions seen in status "
        "reports, devices coming and going.",
        key=DEVICE_KEY,
        types=(OtaProgressReported, VersionSeen, SetRollout, TimePassed, *presence.TRANSITIONS, *registry.EVENTS),
        producers=("ingest", "ota", "shadow", "presence", "registry"),
        consumers=("ota",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="planned",
    ),
    Topic(
        name=names.OTA_CAMPAIGN_INBOX,
        purpose="All that the coordination of campaigns folds: requests of applications and the counters of each "
        "partition.",
        key="campaign id",
        types=(CreateCampaign, ControlCampaign, ExecutionsCounted, TimePassed),
        producers=("api", "ota"),
        consumers=("ota",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="planned",
    ),
    Topic(
        name=names.OTA_EVENTS,
        purpose="Every step of every upgrade and every change of a campaign.",
        key="product/device, for a campaign's own changes the campaign id",
        types=(UpgradeQueued, UpgradeNotified, UpgradeProgressed, UpgradeEnded, CampaignChanged),
        producers=("ota",),
        consumers=("timeseries", "applications"),
        retention_ms=FOREVER,
        stage="planned",
    ),
    Topic(
        name=names.OTA_CAMPAIGNS,
        purpose="The current state of every campaign, with its counters.",
        key="campaign id",
        types=(CampaignDocument,),
        producers=("ota",),
        consumers=("api", "applications"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="planned",
        config=STATE,
    ),
    changelog("ota", "executions", stage="planned"),
    changelog("ota", "campaigns", stage="planned"),
)
