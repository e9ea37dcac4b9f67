"""What the downlink keeps of a Kafka record until its offset is committed."""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.topics.messages.base import Millis


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of ``downlink.messages`` as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: Millis
    """When it was written."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """What such a record asks to be published."""

    topic: str
    payload: bytes
    qos: Literal[0, 1]
    expires_at: Millis | None
    """Never sent after this moment."""
    content_type: str | None
    correlation_data: bytes | None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a record is a dead letter."""

    reason: str
    """Stable code in snake_case."""
    error: str
    """A sentence for people."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """A record's way from Kafka to its commit. Thousands are under way, and none is part of a cycle."""

    record: Record
    publish: Publish | None
    """None: there is nothing to publish (any more)."""
    refusal: Refusal | None = None
    """Set: it becomes a dead letter, written together with the commit."""
    packet_id: int = 0
    """0: not under way to the broker."""
    sent_at: float = 0.0
    """Monotonic seconds."""
    again: bool = False
    """It was under way on a connection that was lost."""
    losses: int = 0
    """Connections that were closed when nothing but this was sent on them."""
    void: bool = False
    """No longer this process's to publish or to commit."""

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.record.value or b"")


class Settled(msgspec.Struct, frozen=True):
    """The next step of one partition: ``position`` is the offset to commit, all before it is done."""

    partition: int
    position: int
    refused: tuple[tuple[Record, Refusal], ...]
    """Of the records that this step passes, in order."""
    count: int
    """Of those records."""
    size: int
    """Their bytes."""
