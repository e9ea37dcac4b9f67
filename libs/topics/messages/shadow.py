"""``shadow.inbox`` as far as devices write it: both shadow dialects, pulls and status reports."""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import Encoding, Message, Millis


class ShadowMessageReceived(Message, frozen=True, tag="shadow_message_received"):
    """A device published in the Aliyun form, on ``/shadow/{product}/{device}/update`` or its alias."""

    product_id: str
    device_id: str
    form: Literal["device_first", "verb_first"]
    """``/shadow/{p}/{d}/update`` or ``/shadow/update/{p}/{d}``: answers go out on the form used last."""
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class ShadowPulled(Message, frozen=True, tag="shadow_pulled"):
    """A device asked for its document: ``get/{product}/{device}/$shadow/{message_id}``.

    Any payload will do; ``{"shadow": name}`` asks for a named shadow.
    """

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class ShadowReported(Message, frozen=True, tag="shadow_reported"):
    """``upload_data/{product}/{device}/$shadow_reported/{message_id}``: the device reports its state."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class ShadowAcknowledged(Message, frozen=True, tag="shadow_acknowledged"):
    """``upload_data/{product}/{device}/$shadow_updated/{message_id}``: the device took over what is desired."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class StatusReported(Message, frozen=True, tag="status_reported"):
    """``update_status/{product}/{device}/{message_id}``: the device's current status, a JSON object."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
