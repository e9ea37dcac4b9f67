"""A row after an event of ``commands.events``. Pure: replaying the public log through it rebuilds the ledger."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandDelivered,
    CommandEnded,
    CommandQueued,
    CommandReplied,
    CommandSent,
    LateReplyRecorded,
)

from . import limits
from .model import Command, Entry, Past, Reply, keep

if TYPE_CHECKING:
    from .model import EndState

Event: TypeAlias = (
    CommandAccepted | CommandQueued | CommandSent | CommandDelivered | CommandReplied | CommandEnded | LateReplyRecorded
)


def fold(entry: Entry, event: Event) -> Entry:
    """Fold one event. One that is met again changes nothing, nor does one about a command that is forgotten."""
    if type(event) is CommandAccepted:
        return _accepted(entry, event)
    if type(event) is LateReplyRecorded:
        return _late(entry, event)
    command = entry.find(event.request_id)
    if command is None:
        return entry
    if type(event) is CommandReplied or type(event) is CommandEnded:
        return _end(entry, command, event)
    return put(entry, _moved(command, event))


def _moved(command: Command, event: Event) -> Command:
    match event:
        case CommandQueued():
            return replace(command, state="queued")
        case CommandSent():
            state = "delivered" if command.state == "delivered" else "sent"
            return replace(command, state=state, attempts=event.attempt, sent_at=event.at)
        case CommandDelivered():
            return replace(command, state="delivered")
        case _:
            return command


def _accepted(entry: Entry, event: CommandAccepted) -> Entry:
    if entry.find(event.request_id) is not None or entry.recall(event.request_id) is not None:
        return entry
    row = copy(entry)
    command = Command(
        event.request_id,
        event.fanout_id is not None,
        event.mode,
        event.command,
        event.encoding,
        bytes(event.payload),
        event.at,
        event.expires_at,
        event.by,
    )
    row.open = (*entry.open, command)
    return row


def put(entry: Entry, command: Command) -> Entry:
    """Put in the place of an open command what became of it."""
    row = copy(entry)
    known = command.request_id
    row.open = tuple([command if one.request_id == known else one for one in entry.open])
    return row


def _end(entry: Entry, command: Command, event: CommandReplied | CommandEnded) -> Entry:
    reply: Reply | None = None
    state: EndState = "replied"
    reason: str | None = None
    heard: tuple[str, ...] = ()
    attempts = command.attempts
    if type(event) is CommandReplied:
        attempts = max(1, attempts)  # the reply may come before the downlink tells of the sending
        reply = Reply(event.message_id, event.encoding, bytes(event.payload), event.at, event.rtt_ms, late=False)
        heard = (event.message_id,)
    elif type(event) is CommandEnded:
        state, reason = event.outcome, event.reason
    past = Past(
        command.request_id,
        command.fanout,
        command.mode,
        command.command,
        command.accepted_at,
        command.expires_at,
        command.by,
        state,
        attempts,
        command.sent_at,
        event.at,
        reason,
        _kept(reply),
        heard,
    )
    row = copy(entry)
    row.open = tuple([one for one in entry.open if one is not command])
    row.ended = limits.remembered(entry.ended, past)
    return row


def _late(entry: Entry, event: LateReplyRecorded) -> Entry:
    past = entry.recall(event.request_id)
    if past is None or event.message_id in past.heard:
        return entry
    since = past.accepted_at if past.sent_at is None else past.sent_at
    rtt = max(0, event.at - since)
    reply = _kept(Reply(event.message_id, event.encoding, bytes(event.payload), event.at, rtt, late=True))
    after = replace(
        past,
        attempts=max(1, past.attempts),
        reply=past.reply if past.state == "replied" else reply,
        heard=(*past.heard, event.message_id)[-limits.HEARD :],
    )
    row = copy(entry)
    known, kept = event.request_id, keep(after)
    row.ended = limits.trimmed(tuple([kept if one.request_id == known else one for one in entry.ended]))
    return row


def _kept(reply: Reply | None) -> Reply | None:
    return None if reply is None or len(reply.payload) > limits.REPLY else reply
