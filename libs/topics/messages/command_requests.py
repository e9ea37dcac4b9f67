"""``commands.inbox`` as far as the hub and applications write it.

A command of a fan-out has the fan-out's id as its request id, on every device: so one publish on the tag's topic can
carry it, and what becomes of the fan-out is the sum over one request id.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import DeviceRequest, Encoding, Message, Millis, Request


class SendCommand(DeviceRequest, frozen=True, tag="send_command"):
    """Send a command, now or when the device comes online; ``rpc``: only now, and the answer is what became of it."""

    request_id: str
    mode: Literal["cmd", "rpc"]
    command: str
    encoding: Encoding
    payload: msgspec.Raw
    ttl: int | None
    """ms from its acceptance, after which it is never sent and, unanswered, over; None: as the product says, else the
    hub. For an rpc the time that the device has to reply."""


class CancelCommand(DeviceRequest, frozen=True, tag="cancel_command"):
    """End a command that is not over: it is not sent again. A device that has it already may still carry it out."""

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
    mode: Literal["cmd", "rpc"]
    """``rpc``: members that are offline are not waited for."""
    command: str
    encoding: Encoding
    payload: msgspec.Raw
    ttl: int | None
    """As in `SendCommand`."""
    partition: int


class CancelFanOut(Request, frozen=True, tag="cancel_fan_out"):
    """As `CancelCommand`, for all members. A broadcast."""

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


class MessagePublished(Message, frozen=True, tag="message_published"):
    """The downlink is done with a message that carries a command."""

    product_id: str
    device_id: str
    request_id: str
    refused: str | None
    """Why the broker, or MQTT itself, did not take it, as its dead letter says; None: the broker acknowledged it."""
    at: Millis
    """By the downlink's clock."""
    heard: bool = True
    """False: the broker says that nobody has subscribed to the topic, such as a device that has connected just now."""
