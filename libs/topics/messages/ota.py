"""``ota.inbox`` as far as devices write it."""

from __future__ import annotations

import msgspec

from .base import Encoding, Message, Millis


class OtaProgressReported(Message, frozen=True, tag="ota_progress_reported"):
    """``update_ota_status/{product}/{device}/{message_id}``: download percent, or a negative failure code."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
