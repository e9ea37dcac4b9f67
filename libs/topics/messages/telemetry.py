"""``device.telemetry``: what devices send up. Written by ingest; keyed by the sending device."""

from __future__ import annotations

import msgspec

from .base import Encoding, Message, Millis


class DataUploaded(Message, frozen=True, tag="data_uploaded"):
    """A device published on ``upload_data/{product}/{device}/{data_type}/{message_id}``."""

    product_id: str
    device_id: str
    data_type: str
    message_id: str
    packet_id: int
    """MQTT packet id of the delivery to ingest, 0 for QoS 0: tells a repeated message from a redelivered one."""
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
    """Always the last field and 13 digits: ingest's resume filter compares records without it."""


class DeviceMessageSent(Message, frozen=True, tag="device_message_sent"):
    """A device published on ``m2m/{product}/{to_device_id}/{device_id}/{message_id}``; keyed by the sender."""

    product_id: str
    device_id: str
    to_device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
