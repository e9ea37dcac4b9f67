"""Dead letters of a lane: events that its step or its limits refuse, whole, with the reason."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from libs.topics.codec import InvalidMessage, encode
from libs.topics.messages.deadletters import DeadLetter

if TYPE_CHECKING:
    from .part import Record

MAX_KEY = 1024
"""Bytes of a record's key up to which its letter has it for a Kafka key too; keys of the hub are far shorter."""

MAX_ERROR = 1000
"""Characters of an error that are kept: it may quote the input, which the letter carries anyway."""


class Refused(Exception):
    """An event that a limit of the lane refuses; ``reason`` is stable."""

    reason = "poison"


class TooLarge(Refused):
    """Bytes there would be, bytes allowed."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, {limit} are allowed")


class RowTooLarge(TooLarge):
    """The row that the event makes; or, of a broadcast, the partition's shared row."""

    reason = "row_too_large"


class OutputTooLarge(TooLarge):
    """An output of the event: its topic would reject it."""

    reason = "output_too_large"


class BadKey(Refused):
    """A key that is missing, empty or reserved."""

    reason = "bad_key"


def reason_of(error: Exception) -> str:
    """Return the stable code of a failure; what nobody foresaw is ``poison``."""
    return error.reason if isinstance(error, (Refused, InvalidMessage)) else "poison"


def letter(*, service: str, topic: str, partition: int, record: Record, key: bytes | None, error: Exception) -> bytes:
    """Write a `DeadLetter`. ``key``: of the record, or of the row that a broadcast's sweep visited."""
    return encode(
        DeadLetter(
            service=service,
            reason=reason_of(error),
            error=repr(error)[:MAX_ERROR],
            origin=f"kafka:{topic}-{partition}-{record.offset}",
            key=None if key is None else b64encode(key).decode(),
            payload=b64encode(record.value or b"").decode(),
            packet_id=0,
            received_at=record.timestamp,
        )
    )
