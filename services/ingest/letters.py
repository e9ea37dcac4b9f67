"""Dead letters: what ingest could not take, whole, with the reason."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import msgspec

from libs.topics.codec import encode
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.names import dead_letters

from .model import Letter

SERVICE: Final = "ingest"
TOPIC: Final = dead_letters(SERVICE)
MAX_CHARACTERS: Final = 21_845
"""Of an MQTT topic, where it is cut."""
MAX_ORIGIN: Final = 6 * MAX_CHARACTERS
"""Bytes that a topic may take in JSON: that of any topic without control characters, which JSON makes six times as
long. With those, a topic and the largest payload would not fit into a record."""


def letter(  # noqa: PLR0917  (the parser's own arguments, in its order)
    reason: str, error: str, topic: str, payload: bytes, packet_id: int, now: int, *, key: bytes | None = None
) -> Letter:
    """``key``: the device's, where it is known. ``error`` must not repeat ``topic``: a record has a size limit.

    The topic is whole unless its JSON takes more than `MAX_ORIGIN`; what is cut off is then marked and counted.
    """
    return Letter(
        TOPIC,
        key,
        encode(
            DeadLetter(
                service=SERVICE,
                reason=reason,
                error=error,
                origin=f"mqtt:{_bounded(topic)}",
                key=None if key is None else b64encode(key).decode(),
                payload=b64encode(payload).decode(),
                packet_id=packet_id,
                received_at=now,
            )
        ),
        reason=reason,
    )


def _bounded(topic: str) -> str:
    if len(topic) <= MAX_CHARACTERS or len(msgspec.json.encode(topic)) <= MAX_ORIGIN:
        return topic
    return f"{topic[:MAX_CHARACTERS]} [{len(topic) - MAX_CHARACTERS} characters cut off]"
