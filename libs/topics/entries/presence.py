"""Who is connected."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.command_events import ProbeConcluded
from libs.topics.messages.hub import LeaseRenewed, TimePassed
from libs.topics.messages.presence import (
    ConnectionObserved,
    PresenceChanged,
    PresenceDocument,
    SourceListed,
    SourceListingEnded,
    SourceStarted,
    TrafficSeen,
)
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered
from libs.topics.topic import DEVICE_KEY, FOREVER, MONTH, STATE, YEAR, Topic, changelog

TRANSITIONS: Final = (PresenceChanged,)

TOPICS: Final = (
    Topic(
        name=names.PRESENCE_INBOX,
        purpose="All that the presence service folds: connections as every source saw them, activity marks "
        "(at most one per device in 30 s), results of probes, restarts of a source, its leases and lists of its "
        "clients, ticks; and which devices were deleted or registered.",
        key=DEVICE_KEY,
        types=(
            ConnectionObserved,
            TrafficSeen,
            ProbeConcluded,
            DeviceRegistered,
            DeviceDeleted,
            SourceStarted,
            SourceListed,
            SourceListingEnded,
            LeaseRenewed,
            TimePassed,
        ),
        producers=("ingest", "presence", "commands", "registry"),
        consumers=("presence",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="live",
    ),
    Topic(
        name=names.PRESENCE_TRANSITIONS,
        purpose="Every change of a device's session, with its cause, the old and the new state and both channels.",
        key=DEVICE_KEY,
        types=TRANSITIONS,
        producers=("presence",),
        consumers=("shadow", "commands", "ota", "timeseries", "applications"),
        feeds=(names.SHADOW_INBOX, names.COMMANDS_INBOX, names.OTA_INBOX),
        retention_ms=YEAR,
        stage="live",
    ),
    Topic(
        name=names.PRESENCE_STATE,
        purpose="The current presence of every device: the newest record of a key is the truth. One without a value "
        "says that the device was deleted.",
        key=DEVICE_KEY,
        types=(PresenceDocument,),
        producers=("presence",),
        consumers=("api", "applications"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="live",
        config=STATE,
    ),
    changelog("presence", "channels", stage="live"),
)
