"""``<service>.dead-letters``: what a service could not take, whole, with the reason."""

from __future__ import annotations

from .base import Message, Millis


class DeadLetter(Message, frozen=True, tag="dead_letter"):
    """One input that was refused. Nothing of it is lost: ``payload`` decodes to the very bytes."""

    service: str
    reason: str
    """Stable code in snake_case, such as ``invalid_topic`` or ``row_too_large``."""
    error: str
    """A sentence for people."""
    origin: str
    """Where it came from: ``mqtt:{topic}`` or ``kafka:{topic}-{partition}-{offset}``."""
    key: str | None
    """Kafka key of the input in base64, None where it had none."""
    payload: str
    """The input's bytes in base64."""
    packet_id: int
    """MQTT packet id of the delivery; 0 where there was none."""
    received_at: Millis
