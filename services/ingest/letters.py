"""Dead letters: what ingest could not take, whole, with the reason."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from libs.topics.codec import encode
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.names import dead_letters

from .model import Letter

SERVICE: Final = "ingest"
TOPIC: Final = dead_letters(SERVICE)


def letter(  # noqa: PLR0917  (the parser's own arguments, in its order)
    reason: str, error: str, topic: str, payload: bytes, packet_id: int, now: int, *, key: bytes | None = None
) -> Letter:
    """``key``: the device's, where it is known. ``error`` must not repeat ``topic``: a record has a size limit."""
    return Letter(
        TOPIC,
        key,
        encode(
            DeadLetter(
                service=SERVICE,
                reason=reason,
                error=error,
                origin=f"mqtt:{topic}",
                key=None if key is None else b64encode(key).decode(),
                payload=b64encode(payload).decode(),
                packet_id=packet_id,
                received_at=now,
            )
        ),
        reason=reason,
    )
