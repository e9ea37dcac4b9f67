"""``app.p2p`` and ``downlink.messages``: what leaves by MQTT."""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import DeviceRequest, Encoding, Message, Millis


class SendToClient(DeviceRequest, frozen=True, tag="send_to_client"):
    """An application sends to one client, which needs no subscription of its own: ``{topic}/p2p/{client_id}``."""

    client_id: str
    topic: str
    """Without the ``/p2p/{client_id}`` at its end."""
    message_id: str
    encoding: Encoding
    payload: msgspec.Raw


class PublishMessage(Message, frozen=True, tag="publish_message"):
    """Publish this by MQTT, once, unless it has expired."""

    id: str
    """``topic-partition-offset-n`` of the cause: a repeated request is recognised by it."""
    product_id: str
    device_id: str | None
    """The receiver; None for a publish to a tag."""
    tag: str | None
    topic: str
    qos: Literal[0, 1]
    encoding: Encoding
    payload: msgspec.Raw
    expires_at: Millis | None
    """Never sent after this moment; also the MQTT 5 message expiry."""
    content_type: str | None
    """MQTT 5 content type, such as ``application/json``."""
    request_id: str | None
    """Of the command that it carries, also the MQTT 5 correlation data: what became of it is told to
    ``commands.inbox`` (`MessagePublished`). None: it belongs to none that anybody waits for."""
    at: Millis
    stamp: str | None = None
    """Field of the JSON object in ``payload`` that gets the moment of sending, in ms: for the device's clock."""
