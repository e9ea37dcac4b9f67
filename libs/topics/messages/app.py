"""``app.data-requests``: pulls that applications answer."""

from __future__ import annotations

import msgspec

from .base import Encoding, Message, Millis


class DataRequested(Message, frozen=True, tag="data_requested"):
    """``get/{product}/{device}/{resource}/{message_id}`` for a resource without a leading ``$``."""

    product_id: str
    device_id: str
    resource: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
