"""Single observations for tests, in seconds after `T0`."""

from __future__ import annotations

from typing import Any, Literal

from libs.topics.messages.presence import ConnectionObserved, SourceStarted, TrafficSeen
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
