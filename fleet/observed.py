"""What the hub made of the fleet's messages, in one form for Kafka records and ClickHouse rows."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from libs.topics.identity import InvalidName, split_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from libs.topics.messages.deadletters import DeadLetter


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A device's message, found in Kafka or in ClickHouse."""

    topic: str
    """The Kafka topic, also of a ClickHouse row."""
    partition: int
    offset: int
    product_id: str
    device_id: str
    message_id: str
    payload: bytes
    """The bytes that the device sent."""


class Envelope(msgspec.Struct, frozen=True):
    """The fields that all events caused by a device's message share. Other records have no ``message_id``."""

    product_id: str
    device_id: str
    message_id: str
    encoding: str
    payload: msgspec.Raw


_envelope = msgspec.json.Decoder(Envelope).decode
_text = msgspec.json.Decoder(str).decode


def arrival(topic: str, partition: int, offset: int, value: bytes) -> Arrival | None:
    """Read a record of an inbox; None for one that no device message caused, such as a connection event."""
    try:
        envelope = _envelope(value)
    except msgspec.ValidationError:
        return None
    sent = bytes(envelope.payload)
    if envelope.encoding == "base64":
        sent = base64.b64decode(_text(sent))
    return Arrival(topic, partition, offset, envelope.product_id, envelope.device_id, envelope.message_id, sent)


def concerns(letter: DeadLetter, products: Collection[str]) -> bool:
    """Whether a dead letter came from the fleet: by its Kafka key, or by a level of its MQTT topic."""
    if letter.key is not None:
        try:
            return split_key(base64.b64decode(letter.key))[0] in products
        except InvalidName:
            return False
    return not set(letter.origin.split("/")).isdisjoint(products)
