"""What the downlink keeps of a Kafka record until its offset is committed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from libs.topics.messages.base import Millis
from libs.topics.messages.command_requests import MessagePublished


class Place(NamedTuple):
    """A partition of a topic: what order holds in, and what a position is of."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: Millis
    """When it was written."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Of which command somebody waits to hear what became of it."""

    product_id: str
    device_id: str
    request_id: str


class Publish(msgspec.Struct, frozen=True, gc=False):
    """What such a record asks to be published."""

    topic: str
    payload: bytes
    """If ``stamped``: a JSON object up to where the moment of sending belongs, which is its last value."""
    qos: Literal[0, 1]
    expires_at: Millis | None
    """Never sent after this moment."""
    content_type: str | None
    correlation_data: bytes | None
    receipt: Receipt | None = None
    """None: nobody is told."""
    stamped: bool = False


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
    notice: MessagePublished | None = None
    """Set: it is told before the commit."""
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


class Forgotten(NamedTuple):
    """What is no longer this process's of a partition."""

    place: Place
    messages: int
    size: int
    """Their bytes."""


class Settled(msgspec.Struct, frozen=True):
    """The next step of one partition: ``position`` is the offset to commit, all before it is done."""

    place: Place
    position: int
    refused: tuple[tuple[Record, Refusal], ...]
    """Of the records that this step passes, in order."""
    notices: tuple[MessagePublished, ...]
    """Of these records, in order."""
    count: int
    """Of those records."""
    size: int
    """Their bytes."""
