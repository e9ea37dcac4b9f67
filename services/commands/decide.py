"""What a message about commands means now: an event, nothing, or why not. Pure; docs/commands.md has the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, final

import msgspec

from libs.runtime.lane import memory
from libs.runtime.lane.verdicts import Refused, key_reused, unknown_device
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandDelivered,
    CommandEnded,
    CommandReplied,
    CommandSent,
    LateReplyRecorded,
)
from libs.topics.messages.command_views import CommandView

from . import limits
from .outcomes import forgotten, over, unknown_command

if TYPE_CHECKING:
    from libs.topics.messages.base import Idempotency
    from libs.topics.messages.command_requests import (
        CancelCommand,
        DeliveryObserved,
        MessagePublished,
        SendCommand,
        SendToTag,
    )
    from libs.topics.messages.commands import CommandAnswered

    from .model import Command, Past
    from .turn import Turn


@final
class Known(msgspec.Struct, frozen=True):
    """The same was asked for before: nothing is done, and the entry is shown as it is now."""

    view: CommandView


@final
class Missed(msgspec.Struct, frozen=True):
    """What was given to the downlink reached nobody, and the command is not over."""

    unheard: bool
    """It was given to it last, and nobody has subscribed: it is sent again on the same connection."""


Ignored: TypeAlias = Literal["again", "over", "unknown"]
"""Why a message changes nothing: it came before, its command is over, or nothing is known of its command."""


def sent(turn: Turn, message: SendCommand) -> CommandAccepted | Known | Refused:
    """Say what comes of an application's command."""
    if refused := limits.fault(message, message.request_id, turn.rules):
        return refused
    if not turn.row.registered:
        return unknown_device(message.product_id, message.device_id)
    if known := _again(turn, message.idempotency, message.request_id):
        return known
    view = turn.show(message.request_id)  # the same request, after its key was forgotten
    return _accepted(turn, message, message.request_id, None) if view is None else Known(view)


def fanned(turn: Turn, message: SendToTag) -> CommandAccepted | Refused:
    """Say what comes of a fan-out for one of its members."""
    return _accepted(turn, message, message.fanout_id, message.fanout_id)


def _again(turn: Turn, idempotency: Idempotency | None, request_id: str) -> Known | Refused | None:
    known = memory.recalled(turn.row.answered, idempotency, turn.now)
    if known is None or idempotency is None:
        return None
    if known.fingerprint != idempotency.fingerprint:
        return key_reused(known.key)
    view = turn.show(request_id)
    return forgotten(request_id) if view is None else Known(view)


def _accepted(
    turn: Turn, message: SendCommand | SendToTag, request_id: str, fanout_id: str | None
) -> CommandAccepted | Refused:
    if refused := limits.full(turn.row, bytes(message.payload), turn.rules):
        return refused
    return CommandAccepted(
        id=turn.id(),
        product_id=turn.product_id,
        device_id=turn.device_id,
        request_id=request_id,
        fanout_id=fanout_id,
        mode=message.mode,
        command=message.command,
        encoding=message.encoding,
        payload=message.payload,
        expires_at=turn.now + limits.ttl(turn.shared, turn.product_id, message, turn.rules),
        by=message.requested_by,
        at=turn.now,
    )


def cancelled(turn: Turn, message: CancelCommand) -> Command | Known | Refused:
    """Say which command is to end, if any."""
    if not turn.row.registered:
        return unknown_device(message.product_id, message.device_id)
    if known := _again(turn, message.idempotency, message.request_id):
        return known
    command = turn.row.find(message.request_id)
    if command is not None:
        return command
    view = turn.show(message.request_id)
    return unknown_command(message.request_id) if view is None else over(view)


def answered(turn: Turn, message: CommandAnswered) -> CommandReplied | LateReplyRecorded | Ignored:
    """Say what a device's reply is to the command that it names."""
    row = turn.row
    command = row.find(message.request_id)
    if command is not None:
        since = command.tried_at or command.accepted_at
        return CommandReplied(
            id=turn.id(),
            product_id=turn.product_id,
            device_id=turn.device_id,
            request_id=message.request_id,
            message_id=message.message_id,
            encoding=message.encoding,
            payload=message.payload,
            rtt_ms=max(0, message.received_at - since),
            at=max(message.received_at, command.sent_at or command.accepted_at),
        )
    past = row.recall(message.request_id)
    if past is None:
        return "unknown"
    return "again" if message.message_id in past.heard else _late(turn, message, past)


def _late(turn: Turn, message: CommandAnswered, past: Past) -> LateReplyRecorded:
    return LateReplyRecorded(
        id=turn.id(),
        product_id=turn.product_id,
        device_id=turn.device_id,
        request_id=message.request_id,
        message_id=message.message_id,
        encoding=message.encoding,
        payload=message.payload,
        at=max(message.received_at, past.ended_at),
    )


def published(turn: Turn, message: MessagePublished) -> CommandSent | CommandEnded | Missed | Ignored:
    """Say what the downlink's notice means. It may be repeated: no more are counted than were given to it.

    Notices of one command come in the order in which it was given to the downlink. A repetition that the broker
    refuses ends nothing: the device may have the command already. One notice too many says that the downlink was killed
    and has published something again; where nobody heard that, it may have been the last sending.
    """
    command = turn.row.find(message.request_id)
    if command is None:
        return "over"
    if not command.doubtful:
        lost = not message.heard and command.link == turn.row.link and command.mode == "cmd"
        return Missed(unheard=True) if lost else "again"
    if not message.heard:
        return Missed(unheard=command.tries == command.attempts + 1)
    if message.refused is not None and (command.attempts or command.tries > 1):
        return Missed(unheard=False)
    ids = turn.id(), turn.product_id, turn.device_id, message.request_id
    if message.refused is not None:
        return CommandEnded(*ids, "failed", message.refused, turn.now)
    return CommandSent(*ids, command.attempts + 1, max(message.at, command.accepted_at))


def delivered(turn: Turn, message: DeliveryObserved) -> CommandDelivered | Ignored:
    """Say what a broker's observation means."""
    command = turn.row.find(message.request_id)
    if command is None:
        return "over"
    if command.state == "delivered" or not command.tries:
        return "again"
    return CommandDelivered(
        turn.id(), turn.product_id, turn.device_id, message.request_id, max(message.time, command.accepted_at)
    )
