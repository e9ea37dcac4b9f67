"""``commands.inbox`` as far as devices write it: replies, probe answers, pulls that the hub answers itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import Encoding, Message, Millis


class CommandAnswered(Message, frozen=True, tag="command_answered"):
    """``cmd_resp|rpc_resp/{product}/{device}/{command}/{request_id}/{message_id}``."""

    product_id: str
    device_id: str
    mode: Literal["cmd", "rpc"]
    command: str
    request_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class ResourceRequested(Message, frozen=True, tag="resource_requested"):
    """``get/{product}/{device}/$ntp|$tags/{message_id}``: answered by the hub itself."""

    product_id: str
    device_id: str
    resource: Literal["$ntp", "$tags"]
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis


class ProbeAnswered(Message, frozen=True, tag="probe_answered"):
    """``/sys/{product}/{device}/rrpc/response/{message_id}``: the device echoed a probe."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
