"""Commands, synchronous calls, probes, fan-outs."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered, ResourceRequested
from libs.topics.topic import DEVICE_KEY, MONTH, YEAR, Topic, changelog

from . import presence

TOPICS: Final = (
    Topic(
        name=names.COMMANDS_INBOX,
        purpose="All that the commands service folds: requests, fan-outs, replies of devices, probe answers, pulls "
        "of time and tags, devices coming and going.",
        key=DEVICE_KEY,
        types=(CommandAnswered, ResourceRequested, ProbeAnswered, *presence.TRANSITIONS),
        producers=("ingest", "api", "presence", "registry"),
        consumers=("commands",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="planned",
    ),
    Topic(
        name=names.COMMANDS_EVENTS,
        purpose="The ledger: every step of every command, from accepted to its one terminal state.",
        key=DEVICE_KEY,
        types=(),
        producers=("commands",),
        consumers=("timeseries", "applications"),
        retention_ms=YEAR,
        stage="planned",
    ),
    changelog("commands", "ledger", stage="planned"),
)
