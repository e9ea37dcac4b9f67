"""What all messages share: one JSON object per Kafka record, told apart by its first field, ``type``."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Millis: TypeAlias = int
"""A moment: milliseconds since 1970-01-01T00:00:00Z."""

Encoding: TypeAlias = Literal["json", "base64"]
"""How ``payload`` holds a device's bytes: verbatim JSON, or a JSON string with their base64 form."""


class Message(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=True):
    """Base of all messages. Unknown fields are ignored, so producers may add some; consumers deploy first."""


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """Where the answer to a request goes: to that partition of ``api.replies``, with that correlation id as key."""

    partition: int
    correlation_id: str


class Idempotency(msgspec.Struct, frozen=True, gc=False):
    """What makes a repeated request known: asked again with the same key it is answered as before, and does nothing."""

    key: str
    """Unique among all that ask: it holds the asking side's name besides the key that this side chose."""
    fingerprint: str
    """Of all that was asked: the same key with another one is refused with ``idempotency_key_reused``."""


class Request(Message, frozen=True, kw_only=True):
    """What somebody asks of a service, in the imperative. Its common fields come after its own."""

    requested_by: str
    """Who asked: the name of the API key, or the service that acts on its own behalf."""
    requested_at: Millis
    """When it was asked, by the asking side's clock."""
    reply_to: ReplyTo | None = None
    """None: nobody waits for an answer."""
    idempotency: Idempotency | None = None
    """None: asked again, it is done again."""


class DeviceRequest(Request, frozen=True):
    """A request about one device."""

    product_id: str
    device_id: str


class DeviceEvent(Message, frozen=True):
    """What happened to one device. Each event ends with ``at``: when it happened."""

    id: str
    """``topic-partition-offset-n`` of the cause: repeated after a crash, it is the same event."""
    product_id: str
    device_id: str
