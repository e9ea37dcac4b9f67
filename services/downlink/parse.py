"""What a record of ``downlink.messages`` asks to be published, and whether MQTT can carry it. Pure."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.codec import Decoder
from libs.topics.messages.downlink import PublishMessage

from .model import Publish

if TYPE_CHECKING:
    from msgspec import Raw

MAX_TEXT: Final = 65_535
"""Bytes of a UTF-8 string and of binary data in MQTT 5 (1.5.4, 1.5.6)."""
MAX_LEVELS: Final = 200
"""Of a topic: mosquitto ends the connection of whoever publishes on a deeper one."""

_decode: Final = Decoder[PublishMessage](PublishMessage)
_text: Final = msgspec.json.Decoder(str).decode
_NONCHARACTERS: Final = "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
_UNFIT: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef{_NONCHARACTERS}]")


class Unpublishable(Exception):
    """Understood, but no PUBLISH can be made of it; ``reason`` is stable."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def parse(value: bytes | None) -> Publish:
    """Raises `libs.topics.codec.UnknownKind`, `libs.topics.codec.InvalidMessage`, `Unpublishable`."""
    message = _decode(value)
    if fault := _topic_fault(message.topic):
        raise Unpublishable("invalid_topic", f"the topic {fault}")
    if message.content_type is not None and (fault := _text_fault(message.content_type)):
        raise Unpublishable("invalid_content_type", f"the content type {fault}")
    correlation = None if message.request_id is None else message.request_id.encode()
    if correlation is not None and len(correlation) > MAX_TEXT:
        raise Unpublishable("invalid_request_id", f"the request id has more than {MAX_TEXT} bytes")
    payload = bytes(message.payload) if message.encoding == "json" else _decoded(message.payload)
    return Publish(message.topic, payload, message.qos, message.expires_at, message.content_type, correlation)


def _decoded(payload: Raw) -> bytes:
    try:
        return binascii.a2b_base64(_text(payload), strict_mode=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unpublishable("invalid_payload", f"the payload is not base64: {error}") from error


def _topic_fault(topic: str) -> str:
    """What is wrong with a topic name, as the end of a sentence (MQTT 5, 4.7)."""
    if not topic:
        return "is empty"
    if "+" in topic or "#" in topic:
        return "has a wildcard"
    if topic.startswith("$"):
        return "begins with $, which is the broker's own"
    if topic.count("/") >= MAX_LEVELS:
        return f"has more than {MAX_LEVELS} levels"
    return _text_fault(topic)


def _text_fault(text: str) -> str:
    """What is wrong with a UTF-8 string. What MQTT 5 (1.5.4) only advises against makes brokers end the connection."""
    if len(text) > MAX_TEXT or (not text.isascii() and len(text.encode()) > MAX_TEXT):
        return f"has more than {MAX_TEXT} bytes"
    return "" if (text.isascii() and text.isprintable()) or not _UNFIT.search(text) else "has a control character"
