"""What ingest makes of a device's MQTT message, as the shadow service decodes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.shadow import (
    ShadowAcknowledged,
    ShadowMessageReceived,
    ShadowPulled,
    ShadowReported,
    StatusReported,
)
from services.ingest.connections import Observer
from services.ingest.parse import Parser

if TYPE_CHECKING:
    from services.ingest.model import Record

LARGEST: Final = 262_144
"""Bytes of a payload, as ingest has it by default."""

_parse = Parser(Observer("mosquitto:main", 1), LARGEST)
_decode: Decoder[Any] = Decoder(
    ShadowMessageReceived | ShadowPulled | ShadowReported | ShadowAcknowledged | StatusReported
)


def record(topic: str, payload: bytes, at: int) -> Record:
    """``at``: ms. The message must be one for the shadow service."""
    parsed = _parse(topic, payload, 1, at)
    assert isinstance(parsed, tuple)
    (made,) = parsed
    assert made.topic == names.SHADOW_INBOX
    return made


def heard(topic: str, payload: bytes, at: int = 0) -> Any:
    """Return one of the five messages of devices."""
    return _decode(record(topic, payload, at).value)
