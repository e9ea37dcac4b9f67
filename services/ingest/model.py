"""What a message from the broker becomes: records for Kafka, or nothing for a stated reason."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

ANY_PARTITION = -1
"""The key decides."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record to produce.

    ``value`` ends in its time of receipt, `STAMP` bytes, and all before those is a pure function of what the broker
    delivered (topic, payload, packet id): the resume filter recognises a redelivered message by it.
    """

    topic: str
    key: bytes | None
    value: bytes
    partition: int = ANY_PARTITION


class Letter(Record, frozen=True, gc=False):
    """A record of the dead letters."""

    reason: str = ""


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """Nothing is written; ``reason`` is counted."""

    reason: str


Parsed: TypeAlias = tuple[Record, ...] | Dropped
"""Records, of which a `Letter` is always the only one, or `Dropped`."""

STAMP = len(b'"received_at":1234567890123}')
"""Length of the last field of every record, be it ``received_at`` or ``ingested_at``, with the closing brace."""
