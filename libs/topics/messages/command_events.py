"""``commands.events``: every step of every command.

accepted, then queued (offline) or sent, delivered where the broker tells, and one end: replied or `CommandEnded`.
An end never changes; a reply that comes after it is recorded as late. A reply may come before the hub hears that the
command was sent: then no `CommandSent` follows. Commands of a fan-out have its id as their request id.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .base import DeviceEvent, Encoding, Message, Millis


class CommandAccepted(DeviceEvent, frozen=True, tag="command_accepted"):
    """The ledger has a new entry: it will come to exactly one end."""

    request_id: str
    fanout_id: str | None
    mode: Literal["cmd", "rpc"]
    command: str
    encoding: Encoding
    payload: msgspec.Raw
    expires_at: Millis
    by: str
    at: Millis


class CommandQueued(DeviceEvent, frozen=True, tag="command_queued"):
    """The device is not online, or has not subscribed to its commands; the command waits for it."""

    request_id: str
    pending: int
    """How many commands wait for the device now, this one included."""
    at: Millis


class CommandSent(DeviceEvent, frozen=True, tag="command_sent"):
    """The broker acknowledged the command, and has somebody who subscribed to it, as far as it tells."""

    request_id: str
    attempt: int
    at: Millis


class CommandDelivered(DeviceEvent, frozen=True, tag="command_delivered"):
    """The device acknowledged the delivery. Only from brokers that tell."""

    request_id: str
    at: Millis


class CommandReplied(DeviceEvent, frozen=True, tag="command_replied"):
    """The device replied in time: the end of the command."""

    request_id: str
    message_id: str
    encoding: Encoding
    payload: msgspec.Raw
    rtt_ms: int
    """From the last sending to the reply's arrival."""
    at: Millis


class CommandEnded(DeviceEvent, frozen=True, tag="command_ended"):
    """The command came to an end without a reply."""

    request_id: str
    outcome: Literal["failed", "rejected", "expired", "cancelled", "timed_out"]
    """``failed``: the broker did not take it. ``rejected``: an rpc whose device was offline. ``expired``: a command
    without a reply until its time was over. ``timed_out``: an rpc without one. ``cancelled``: by an application, or
    since the device was deleted."""
    reason: str
    """A sentence for people."""
    at: Millis


class LateReplyRecorded(DeviceEvent, frozen=True, tag="late_reply_recorded"):
    """The device replied after the command's end, which stays as it is."""

    request_id: str
    message_id: str
    encoding: Encoding
    payload: msgspec.Raw
    at: Millis


class ProbeConcluded(DeviceEvent, frozen=True, tag="probe_concluded"):
    """A probe came to its verdict. Also in ``presence.inbox``, where it becomes the fact *last probe*."""

    probe_id: str
    mode: Literal["strict", "normal", "loose"]
    """As in `ProbeDevice`."""
    verdict: Literal["reachable", "unreachable"]
    attempts: int
    round_trip_ms: int | None
    """Of the attempt that was answered; None when unreachable."""
    altered: bool
    """The device answered, but not with the bytes that it was sent."""
    at: Millis


class FanOutStarted(Message, frozen=True, tag="fan_out_started"):
    """One partition has visited all its members of a fan-out, which are frozen by that.

    The sum over all partitions is the whole; what became of the members' commands since, their events tell.
    """

    id: str
    fanout_id: str
    product_id: str
    tag: str
    partition: int
    members: int
    """Devices that carried the tag when the fan-out reached the partition; each is counted below, too."""
    accepted: int
    """On their way to the broker."""
    queued: int
    refused: int
    """They had as many commands open as they may, and got no other."""
    rejected: int
    """Of an rpc: they were offline."""
    at: Millis
