"""What a record of ``downlink.messages`` or ``app.p2p`` asks to be published, and whether MQTT can carry it. Pure."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics import p2p
from libs.topics.codec import FAULTS, Decoder, encode
from libs.topics.identity import InvalidName, device_key
from libs.topics.messages.downlink import PublishMessage, SendToClient
from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES

from .model import Publish, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from libs.topics.messages.base import Encoding

MAX_TEXT: Final = 65_535
"""Bytes of a UTF-8 string and of binary data in MQTT 5 (1.5.4, 1.5.6)."""
MAX_LEVELS: Final = 200
"""Of a topic: mosquitto ends the connection of whoever publishes on a deeper one."""

_message: Final = Decoder[PublishMessage](PublishMessage)
_to_client: Final = Decoder[SendToClient](SendToClient)
_text: Final = msgspec.json.Decoder(str).decode
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NONCHARACTERS: Final = "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
_UNFIT: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef{_NONCHARACTERS}]")


class Unpublishable(Exception):
    """Understood, but no PUBLISH can be made of it; ``reason`` is stable. ``receipt``: of whom to tell so."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason
        self.receipt: Receipt | None = None


def parse(topic: str, value: bytes | None) -> Publish:
    """``topic``: of Kafka.

    Raises `libs.topics.codec.UnknownKind`, `libs.topics.codec.InvalidMessage`, `Unpublishable`.
    """
    return _READERS[topic](value)


def _publish(value: bytes | None) -> Publish:
    message = _message(value)
    receipt = _receipt(message)
    try:
        return _checked(message, receipt)
    except Unpublishable as error:
        error.receipt = receipt
        raise


def _checked(message: PublishMessage, receipt: Receipt | None) -> Publish:
    if fault := _topic_fault(message.topic):
        raise Unpublishable("invalid_topic", f"the topic {fault}")
    if message.content_type is not None and (fault := _text_fault(message.content_type)):
        raise Unpublishable("invalid_content_type", f"the content type {fault}")
    correlation = None if message.request_id is None else message.request_id.encode()
    if correlation is not None and len(correlation) > MAX_TEXT:
        raise Unpublishable("invalid_request_id", f"the request id has more than {MAX_TEXT} bytes")
    payload = _payload(message.encoding, message.payload)
    return Publish(
        message.topic,
        payload if message.stamp is None else _open(payload, message.stamp),
        message.qos,
        message.expires_at,
        message.content_type,
        correlation,
        receipt,
        message.stamp is not None,
    )


def _receipt(message: PublishMessage) -> Receipt | None:
    if message.request_id is None or message.device_id is None:
        return None
    _check_receiver(message.product_id, message.device_id)
    return Receipt(message.product_id, message.device_id, message.request_id)


def _send_to_client(value: bytes | None) -> Publish:
    message = _to_client(value)
    _check_receiver(message.product_id, message.device_id)
    if not p2p.is_client_of(message.client_id, message.product_id, message.device_id):
        raise Unpublishable("invalid_client", "the client is not the device that the message is for")
    topic = p2p.whole(message.topic, message.client_id)
    if fault := p2p.topic_fault(message.topic, message.product_id) or _topic_fault(topic):
        raise Unpublishable("invalid_topic", f"the topic {fault}")
    correlation = message.message_id.encode()
    if len(correlation) > MAX_TEXT:
        raise Unpublishable("invalid_message_id", f"the message id has more than {MAX_TEXT} bytes")
    payload = _payload(message.encoding, message.payload)
    content_type = "application/json" if message.encoding == "json" else None
    return Publish(topic, payload, 1, None, content_type, correlation)


_READERS: Final[Mapping[str, Callable[[bytes | None], Publish]]] = {
    DOWNLINK_MESSAGES: _publish,
    APP_P2P: _send_to_client,
}


def _check_receiver(product_id: str, device_id: str) -> None:
    try:
        device_key(product_id, device_id)
    except InvalidName as error:
        raise Unpublishable(error.code, str(error)) from error


def _payload(encoding: Encoding, payload: msgspec.Raw) -> bytes:
    if encoding == "json":
        return bytes(payload)
    try:
        return binascii.a2b_base64(_text(payload), strict_mode=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unpublishable("invalid_payload", f"the payload is not base64: {error}") from error


def _open(payload: bytes, field: str) -> bytes:
    """A JSON object up to the value of this field, which becomes its last one (`packets.packet` ends it)."""
    try:
        fields = _fields(payload)
    except FAULTS as error:
        raise Unpublishable("invalid_payload", f"the payload is no JSON object to stamp: {error}") from error
    fields.pop(field, None)
    return b"%b%b%b:" % (encode(fields)[:-1], b"," if fields else b"", encode(field))


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
