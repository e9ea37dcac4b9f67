"""What the owner of a device's row shows and lists of it. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from libs.topics.identity import split_key
from libs.topics.messages.command_views import (
    CommandReply,
    CommandView,
    DeviceCommands,
    FanOutStates,
    PendingCommands,
)

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term

    from .model import Command, Entry, Past, Reference, Reply


def show_commands(key: bytes, row: Entry | None, _: Reference) -> DeviceCommands | None:
    """Show all commands that are open, and those over that are remembered; None: the device is not registered."""
    if row is None or not row.registered:
        return None
    ids = split_key(key)
    return DeviceCommands(
        tuple([show_open(*ids, command) for command in row.open]),
        tuple([show_past(*ids, past.whole()) for past in row.ended]),
    )


def show_pending(_key: bytes, row: Entry | None, _: Reference) -> PendingCommands | None:
    """Show what a device's own page says of its commands; None: it is not registered."""
    if row is None or not row.registered:
        return None
    return PendingCommands(len(row.open), sum([command.state == "queued" for command in row.open]))


def show_fanouts(_key: bytes, row: Entry | None, _: Reference) -> FanOutStates | None:
    """Show how the device's commands of fan-outs are; None: it has none that is remembered."""
    if row is None:
        return None
    ended = [past for past in row.ended if past.fanout]
    over = {past.request_id: past.state for past in ended}
    states = {**over, **{one.request_id: one.state for one in row.open if one.fanout}}
    late = tuple([past.request_id for past in ended if past.late])
    return FanOutStates(states, late) if states else None


def show(product_id: str, device_id: str, row: Entry, request_id: str) -> CommandView | None:
    """Show one command; None: it is unknown, or forgotten."""
    command = row.find(request_id)
    if command is not None:
        return show_open(product_id, device_id, command)
    past = row.recall(request_id)
    return None if past is None else show_past(product_id, device_id, past)


def show_open(product_id: str, device_id: str, command: Command) -> CommandView:
    return CommandView(
        product_id=product_id,
        device_id=device_id,
        request_id=command.request_id,
        fanout_id=command.request_id if command.fanout else None,
        mode=command.mode,
        command=command.command,
        state=command.state,
        attempts=command.attempts,
        accepted_at=command.accepted_at,
        expires_at=command.expires_at,
        sent_at=command.sent_at,
        ended_at=None,
        reason=None,
        reply=None,
        by=command.by,
    )


def show_past(product_id: str, device_id: str, past: Past) -> CommandView:
    return CommandView(
        product_id=product_id,
        device_id=device_id,
        request_id=past.request_id,
        fanout_id=past.request_id if past.fanout else None,
        mode=past.mode,
        command=past.command,
        state=past.state,
        attempts=past.attempts,
        accepted_at=past.accepted_at,
        expires_at=past.expires_at,
        sent_at=past.sent_at,
        ended_at=past.ended_at,
        reason=past.reason,
        reply=None if past.reply is None else _reply(past.reply),
        by=past.by,
    )


def _reply(reply: Reply) -> CommandReply:
    return CommandReply(
        reply.message_id,
        reply.encoding,
        msgspec.Raw(reply.payload),
        reply.received_at,
        reply.rtt_ms,
        reply.late,
    )


def tag_term(product_id: str, tag: str) -> Term:
    return ("tag", f"{product_id}/{tag}")


def request_term(request_id: str) -> Term:
    return ("request", request_id)


def terms(row: Entry) -> tuple[Term, ...]:
    """Name what a fan-out finds the row by, and the end of one."""
    found = _terms(row.product_id, row.tags) if row.tags else ()
    if not row.open:
        return found
    return (*found, *[request_term(command.request_id) for command in row.open if command.fanout])


@lru_cache(10_000)  # devices share their tags: half the time, and a tenth of the memory
def _terms(product_id: str, tags: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple([tag_term(product_id, tag) for tag in tags])


def listing(row: Entry) -> tuple[Term, ...]:
    """Name the lists that the row is in: its product's devices, and whoever has a command of this request id."""
    if not row.registered:
        return ()
    found = [("product", row.product_id)]
    if row.open:
        found += [("request", command.request_id) for command in row.open]
    if row.ended:
        found += [("request", past.request_id) for past in row.ended]
    return tuple(found)
