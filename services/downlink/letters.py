"""Dead letters: records that cannot be published, whole, with the reason. Pure."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from libs.topics.codec import encode
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.names import dead_letters

if TYPE_CHECKING:
    from .model import Record, Refusal

SERVICE: Final = "downlink"
TOPIC: Final = dead_letters(SERVICE)
MAX_ERROR: Final = 1000
"""Characters of an error that are kept: it may quote the input, which the letter carries anyway."""


def letter(record: Record, refusal: Refusal) -> bytes:
    """A `DeadLetter` as the value of a Kafka record."""
    return encode(
        DeadLetter(
            service=SERVICE,
            reason=refusal.reason,
            error=refusal.error[:MAX_ERROR],
            origin=f"kafka:{record.place.topic}-{record.place.partition}-{record.offset}",
            key=None if record.key is None else b64encode(record.key).decode(),
            payload=b64encode(record.value or b"").decode(),
            packet_id=0,
            received_at=record.timestamp,
        )
    )
