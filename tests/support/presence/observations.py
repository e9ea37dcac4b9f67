"""Single observations for tests, in seconds after `T0`."""

from __future__ import annotations

from typing import Any, Literal

from libs.topics.messages.hub import LeaseRenewed, TimePassed
from libs.topics.messages.presence import (
    ConnectionObserved,
    SourceListed,
    SourceListingEnded,
    SourceStarted,
    TrafficSeen,
)
from tests.support.presence.world import T0

KEY = b"p1/d1"
SOURCE = "emqx:a"


def observed(
    event: Literal["connect", "disconnect", "tcpclean"],
    seconds: int,
    channel: str | None,
    *,
    client: str = "c1",
    source: str = SOURCE,
    sequence: int = 1,
    **more: Any,
) -> ConnectionObserved:
    """What a source saw of device ``p1/d1``."""
    return ConnectionObserved("p1", "d1", client, channel, event, T0 + seconds * 1000, source, sequence, **more)


def started(seconds: int, *, source: str = SOURCE, sequence: int = 1) -> SourceStarted:
    return SourceStarted(source, T0 + seconds * 1000, sequence, 0, ingested_at=T0)


def traffic(seconds: int) -> TrafficSeen:
    return TrafficSeen("p1", "d1", T0 + seconds * 1000)


def tick(seconds: int) -> TimePassed:
    return TimePassed(0, T0 + seconds * 1000)


def renewed(seconds: int, until: int, *, source: str = SOURCE) -> LeaseRenewed:
    return LeaseRenewed(source, "ingest-0", T0 + until * 1000, 0, T0 + seconds * 1000)


def listed(seconds: int, number: str = "list-1", *, source: str = SOURCE) -> SourceListed:
    return SourceListed(source, number, T0 + seconds * 1000, 0, T0)


def listing_ended(seconds: int, number: str = "list-1", *, source: str = SOURCE) -> SourceListingEnded:
    return SourceListingEnded(source, number, T0 + seconds * 1000, 0, T0)
