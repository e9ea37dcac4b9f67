"""What the owner of a device's commands answers to requests and reads."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from .base import Encoding, Millis

CommandState: TypeAlias = Literal[
    "accepted",
    "queued",
    "sent",
    "delivered",
    "replied",
    "failed",
    "rejected",
    "expired",
    "cancelled",
    "timed_out",
]
"""``accepted``: on its way to the broker; ``queued``: the device is not online. From ``replied`` on it is over."""


class CommandReply(msgspec.Struct, frozen=True, gc=False):
    """What the device answered."""

    message_id: str
    encoding: Encoding
    payload: msgspec.Raw
    received_at: Millis
    rtt_ms: int
    """From the last sending to the reply's arrival."""
    late: bool
    """It came when the command was over, which stays as it was."""


class CommandView(msgspec.Struct, frozen=True, gc=False):
    """One entry of the ledger as it is now."""

    product_id: str
    device_id: str
    request_id: str
    fanout_id: str | None
    mode: Literal["cmd", "rpc"]
    command: str
    state: CommandState
    attempts: int
    """Sendings that the broker acknowledged; at least one where the device has replied."""
    accepted_at: Millis
    expires_at: Millis
    sent_at: Millis | None
    """When the broker acknowledged it last."""
    ended_at: Millis | None
    reason: str | None
    """Why it came to its end, as `CommandEnded` has it."""
    reply: CommandReply | None
    by: str


class DeviceCommands(msgspec.Struct, frozen=True):
    """All commands of a device that the owner remembers: those that are open, in order, and some that are over."""

    open: tuple[CommandView, ...]
    ended: tuple[CommandView, ...]
    """The newest last."""


class PendingCommands(msgspec.Struct, frozen=True, gc=False):
    """What a device's own page says of its commands."""

    open: int
    """Not over yet."""
    queued: int
    """Of these such as wait for the device, which was not online when they were accepted."""


class FanOutStates(msgspec.Struct, frozen=True, gc=False):
    """How one device's commands of fan-outs are, as far as the owner remembers them."""

    states: dict[str, CommandState]
    """By the fan-out's id."""
    late: tuple[str, ...] = ()
    """Of these such as were replied to when they were over."""


class FanOutCancelled(msgspec.Struct, frozen=True, gc=False):
    """One partition's answer to a `CancelFanOut`."""

    fanout_id: str
    partition: int
    cancelled: int
    """Members whose command was open until now."""


class ProbeView(msgspec.Struct, frozen=True, gc=False):
    """The answer to a `ProbeDevice`."""

    probe_id: str
    mode: Literal["strict", "normal", "loose"]
    verdict: Literal["reachable", "unreachable"]
    attempts: int
    rtt_ms: int | None
    """Of the attempt that was answered."""
    altered: bool
    """The device answered, but not with the bytes that it was sent."""
