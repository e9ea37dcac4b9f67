"""What the hub holds of the fleet, read from its Kafka topics: the other side of the comparison."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics import catalog, names
from libs.topics.codec import Decoder
from libs.topics.identity import InvalidName, split_key
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.presence import PresenceChanged, PresenceDocument

from .messages import ARRIVES_IN

if TYPE_CHECKING:
    from collections.abc import Collection

    from .truth import Device

DEAD_LETTERS = tuple(topic.name for topic in catalog.TOPICS if topic.types == (DeadLetter,) and topic.stage == "live")


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


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A change in the hub's transition log, found in Kafka or in ClickHouse."""

    id: str
    product_id: str
    device_id: str
    cause: str


class Envelope(msgspec.Struct, frozen=True):
    """The fields that all events caused by a device's message share. Other records have no ``message_id``."""

    type: str
    product_id: str
    device_id: str
    message_id: str
    encoding: str
    payload: msgspec.Raw


REPLIES: Final = frozenset({"command_answered", "probe_answered"})
"""No script has these: devices are asked for them."""

_envelope = msgspec.json.Decoder(Envelope).decode
_text = msgspec.json.Decoder(str).decode
_changed: Decoder[PresenceChanged] = Decoder(PresenceChanged)
_document: Decoder[PresenceDocument] = Decoder(PresenceDocument)
_letter: Decoder[DeadLetter] = Decoder(DeadLetter)


class Evidence:
    """Collects the records of `TOPICS`, those of other fleets included."""

    TOPICS = (*dict.fromkeys(ARRIVES_IN.values()), names.PRESENCE_TRANSITIONS, names.PRESENCE_STATE, *DEAD_LETTERS)

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.transitions: list[Transition] = []
        self.documents: dict[Device, PresenceDocument] = {}
        self.letters: list[DeadLetter] = []

    def take(self, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take one record. Raises `libs.topics.codec.InvalidMessage` on one that does not fit its topic."""
        if topic == names.PRESENCE_STATE:
            self._take_state(key or b"", value)
        elif topic == names.PRESENCE_TRANSITIONS:
            change = _changed(value)
            self.transitions.append(Transition(change.id, change.product_id, change.device_id, change.cause))
        elif topic in DEAD_LETTERS:
            self.letters.append(_letter(value))
        else:
            found = arrival(topic, partition, offset, value or b"null")
            if found is not None:
                self.arrivals.append(found)

    def _take_state(self, key: bytes, value: bytes | None) -> None:
        """Keep the newest document per key; a record without value deletes it."""
        if value is None:
            self.documents.pop(split_key(key), None)
        else:
            self.documents[split_key(key)] = _document(value)


def arrival(topic: str, partition: int, offset: int, value: bytes) -> Arrival | None:
    """Read a record of an inbox; None for one that no device began, such as a connection event or a reply."""
    try:
        envelope = _envelope(value)
    except msgspec.ValidationError:
        return None
    if envelope.type in REPLIES:
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
