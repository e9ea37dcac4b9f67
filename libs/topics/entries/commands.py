"""Commands, synchronous calls, probes, fan-outs."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandDelivered,
    CommandEnded,
    CommandQueued,
    CommandReplied,
    CommandSent,
    FanOutStarted,
    LateReplyRecorded,
    ProbeConcluded,
)
from libs.topics.messages.command_requests import (
    CancelCommand,
    CancelFanOut,
    DeliveryObserved,
    MessagePublished,
    ProbeDevice,
    SendCommand,
    SendToTag,
)
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered, ResourceRequested
from libs.topics.messages.hub import TimePassed
from libs.topics.topic import DEVICE_KEY, MONTH, YEAR, Topic, changelog

from . import presence, registry

TOPICS: Final = (
    Topic(
        name=names.COMMANDS_INBOX,
        purpose="All that the commands service folds: requests, fan-outs, replies of devices, probe answers, pulls "
        "of time and tags, devices coming and going.",
        key=DEVICE_KEY,
        types=(
            SendCommand,
            CancelCommand,
            ProbeDevice,
            SendToTag,
            CancelFanOut,
            CommandAnswered,
            ResourceRequested,
            ProbeAnswered,
            DeliveryObserved,
            MessagePublished,
            TimePassed,
            *presence.TRANSITIONS,
            *registry.EVENTS,
        ),
        producers=("ingest", "api", "presence", "registry", "downlink"),
        consumers=("commands",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="live",
    ),
    Topic(
        name=names.COMMANDS_EVENTS,
        purpose="The ledger: every step of every command, from accepted to its one terminal state.",
        key="product/device, for how a fan-out began its id",
        types=(
            CommandAccepted,
            CommandQueued,
            CommandSent,
            CommandDelivered,
            CommandReplied,
            CommandEnded,
            LateReplyRecorded,
            ProbeConcluded,
            FanOutStarted,
        ),
        producers=("commands",),
        consumers=("timeseries", "presence", "applications"),
        feeds=(names.PRESENCE_INBOX,),
        retention_ms=YEAR,
        stage="live",
    ),
    changelog("commands", "ledger", stage="live"),
)
