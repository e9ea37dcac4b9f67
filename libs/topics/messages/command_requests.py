"""``commands.inbox`` as far as the hub and applications write it."""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import DeviceRequest, Encoding, Message, Millis, Request


class SendCommand(DeviceRequest, frozen=True, tag="send_command"):
    """Send a command, now or when the device comes online; ``rpc``: only now, and somebody waits for the reply."""

    request_id: str
    mode: Literal["cmd", "rpc"]
    command: str
    encoding: Encoding
    payload: msgspec.Raw
    expires_at: Millis
    """Never sent after this moment."""
    idempotency_key: str | None
    """The same key again is answered with the first request's id."""


class CancelCommand(DeviceRequest, frozen=True, tag="cancel_command"):
    """Do not send a command that still waits."""

    request_id: str


class ProbeDevice(DeviceRequest, frozen=True, tag="probe_device"):
    """Find out whether a device answers, whatever its connection looks like."""

    probe_id: str
    mode: Literal["strict", "normal", "loose"]
    """Offline after one, two or three misses in a row."""


class SendToTag(Request, frozen=True, tag="send_to_tag"):
    """Send a command to every device that carries a tag now. A broadcast: each partition knows its own members."""

    fanout_id: str
    product_id: str
    tag: str
    command: str
    encoding: Encoding
    payload: msgspec.Raw
    expires_at: Millis
    partition: int


class CancelFanOut(Request, frozen=True, tag="cancel_fan_out"):
    """Do not send a fan-out's commands that still wait. A broadcast."""

    fanout_id: str
    product_id: str
    partition: int


class DeliveryObserved(Message, frozen=True, tag="delivery_observed"):
    """A broker that tells so saw the device acknowledge a command."""

    product_id: str
    device_id: str
    request_id: str
    time: Millis
    """When it happened, by the broker's clock."""
    source: str
    ingested_at: Millis
