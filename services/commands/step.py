"""The lane's step: each message has its turn at its device's row, and what it says is events, commands and answers.

An event's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the message, the position and the reference data.

Whatever the message is, what is over by then ends first, and what waits for the device is sent at last.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

from libs.runtime.lane.answers import address
from libs.runtime.lane.memory import Answered, remember
from libs.runtime.lane.verdicts import Misplaced, Refused, refusal
from libs.topics.messages.command_events import CommandAccepted, CommandReplied, CommandSent
from libs.topics.messages.command_requests import (
    CancelCommand,
    CancelFanOut,
    DeliveryObserved,
    MessagePublished,
    ProbeDevice,
    SendCommand,
    SendToTag,
)
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered, ResourceRequested
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import (
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceEnabled,
    DeviceRegistered,
    OldSecretExpired,
    ProductChanged,
    ProductDeleted,
    SecretRotated,
    TagsChanged,
)

from . import decide, limits, lives, probe, pulls, tag_topics
from .decide import Known, Missed
from .model import Entry, Fanned
from .outcomes import ACCEPTED, DONE, tell_end
from .turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from libs.runtime.lane.model import At, Output

    from .limits import Rules
    from .model import Reference, Started

Life: TypeAlias = DeviceRegistered | DeviceDeleted | TagsChanged | PresenceChanged
Told: TypeAlias = CommandAnswered | ProbeAnswered | ResourceRequested | MessagePublished | DeliveryObserved
OfNoInterest: TypeAlias = DeviceEnabled | DeviceDisabled | SecretRotated | OldSecretExpired | AttributesChanged
OF_NO_INTEREST: Final = frozenset(get_args(OfNoInterest))
Broadcast: TypeAlias = SendToTag | CancelFanOut | TimePassed | ProductChanged | ProductDeleted
Message: TypeAlias = SendCommand | CancelCommand | ProbeDevice | Told | Life | OfNoInterest | Broadcast

LATE: Final = "late"
FOLDED: Final = "folded"


def ignore(_what: str, _outcome: str) -> None:
    """Whom `step` tells by default: nobody."""


def step(  # noqa: PLR0917 - the last three are bound once
    row: Entry | None,
    message: Message,
    at: At,
    shared: Reference,
    rules: Rules = limits.DEFAULTS,
    tell: Callable[[str, str], None] = ignore,
    tell_end: Callable[[str, str], None] = ignore,
) -> tuple[Entry | None, Sequence[Output]]:
    """Fold one message.

    ``tell`` hears of every message and what came of it, ``tell_end`` of every command that is over, its mode and how it
    ended, for counters; they have no say. Raises `InvalidMessage`: dead letters.
    """
    kind = type(message)
    if at.swept:
        rule = VISITS[kind]
        if row is None:
            return None, ()
    elif kind in RULES:
        if at.key != f"{message.product_id}/{message.device_id}".encode():  # type: ignore[union-attr] # of one device
            raise Misplaced(f"{kind.__name__} of another device under the key {at.key!r}")
        rule = RULES[kind]
    elif kind in OF_NO_INTEREST:
        return row, ()
    else:
        raise Misplaced("what concerns every partition is a broadcast")
    entry = Entry(product_id=message.product_id) if row is None else row  # type: ignore[union-attr] # no tick
    turn = Turn(entry, at, shared, rules)
    turn.expire()
    if entry.probes or entry.probe_at is not None:
        probe.pass_time(turn)
    outcome = rule(turn, message)
    turn.flush()
    tell(str(kind.__struct_config__.tag), outcome)
    for mode, state in turn.ends:
        tell_end(mode, state)
    after = turn.row
    if after is entry or not lives.known(after):
        return (row if after is entry else None), turn.outputs
    return after, turn.outputs


def _sent(turn: Turn, message: SendCommand) -> str:
    """Take a command, and answer: at once, or, for an rpc, when it is over."""
    address(message)
    decision = decide.sent(turn, message)
    if type(decision) is Refused:
        turn.outputs += refusal(message, turn.at, decision)
        return decision.code
    if type(decision) is Known:
        return _repeated(turn, message, decision)
    assert type(decision) is CommandAccepted
    waiter = message.reply_to if message.mode == "rpc" else None
    outcome = turn.accept(decision, waiter)
    _remember(turn, message, ACCEPTED)
    if message.mode == "cmd":
        turn.answer(message, ACCEPTED, turn.show(message.request_id))
    return outcome


def _repeated(turn: Turn, message: SendCommand, known: Known) -> str:
    """Show what was asked for before; who repeats an rpc that is open waits for its end."""
    if message.mode == "cmd":
        turn.answer(message, ACCEPTED, known.view)
    elif known.view.ended_at is not None:
        turn.outputs += tell_end(message, turn.at, known.view)
    elif message.reply_to is not None:
        turn.wait(message.request_id, message.reply_to)
    return "again"


def _cancelled(turn: Turn, message: CancelCommand) -> str:
    address(message)
    decision = decide.cancelled(turn, message)
    if type(decision) is Refused:
        turn.outputs += refusal(message, turn.at, decision)
        return decision.code
    if type(decision) is Known:
        turn.answer(message, DONE, decision.view)
        return "again"
    turn.end(turn.open(message.request_id), "cancelled", f"cancelled by {message.requested_by}")
    _remember(turn, message, DONE)
    turn.answer(message, DONE, turn.show(message.request_id))
    return "cancelled"


def _remember(turn: Turn, message: SendCommand | CancelCommand, status: int) -> None:
    if (known := message.idempotency) is not None:
        row = turn.row = copy(turn.row)
        row.answered = remember(row.answered, Answered(known.key, known.fingerprint, status, 0, turn.now))


def _answered(turn: Turn, message: CommandAnswered) -> str:
    decision = decide.answered(turn, message)
    if isinstance(decision, str):
        return LATE if turn.row.gone_at is not None else decision
    turn.say(decision)
    return "replied" if type(decision) is CommandReplied else LATE


def _published(turn: Turn, message: MessagePublished) -> str:
    if turn.row.probes and (outcome := probe.published(turn, message)) is not None:
        return outcome
    turn.told(message)
    decision = decide.published(turn, message)
    if isinstance(decision, str):
        return decision
    if type(decision) is Missed:
        turn.missed(turn.open(message.request_id), unheard=decision.unheard)
        return "refused" if message.heard else "unheard"
    turn.say(decision)
    return "sent" if type(decision) is CommandSent else "failed"


def _delivered(turn: Turn, message: DeliveryObserved) -> str:
    decision = decide.delivered(turn, message)
    if isinstance(decision, str):
        return decision
    turn.say(decision)
    return FOLDED


def _registered(turn: Turn, message: DeviceRegistered) -> str:
    lives.register(turn, message)
    return FOLDED


def _deleted(turn: Turn, message: DeviceDeleted) -> str:
    lives.end(turn, message)
    return FOLDED


def _tagged(turn: Turn, message: TagsChanged) -> str:
    lives.retag(turn, message)
    return FOLDED


def _connected(turn: Turn, message: PresenceChanged) -> str:
    lives.connect(turn, message)
    return FOLDED


def _fanned(turn: Turn, message: SendToTag) -> str:
    """Take a command for a member of a fan-out, and note in its row what came of it."""
    if turn.row.visit(message.fanout_id) is not None:
        turn.row = copy(turn.row)  # it was asked for again: the visit is recorded, and counts as the first one did
        return "again"
    known = turn.show(message.fanout_id)
    outcome: Started
    if known is not None:
        outcome = "queued" if known.state == "queued" else "rejected" if known.state == "rejected" else "accepted"
    else:
        decision = decide.fanned(turn, message)
        if type(decision) is Refused:
            outcome = "refused"
        else:
            assert type(decision) is CommandAccepted
            by_tag = tag_topics.product_of(turn.shared, message, turn.rules) is not None and turn.row.hears_tags
            outcome = turn.accept(decision, by_tag=by_tag)
    row = turn.row = copy(turn.row)
    row.fanned = (*row.fanned[1 - limits.FANNED :], Fanned(message.fanout_id, outcome))
    return "again" if known is not None else outcome


def _unfanned(turn: Turn, message: CancelFanOut) -> str:
    command = turn.row.find(message.fanout_id)
    if command is None:
        return "over"  # its time was over at that moment
    turn.end(command, "cancelled", f"the fan-out was cancelled by {message.requested_by}")
    return "cancelled"


def _ticked(turn: Turn, _: TimePassed) -> str:
    """Let time pass: what is over has ended already, and what waits is sent behind this."""
    lives.forget(turn)
    return FOLDED


def _scheduled(turn: Turn, message: ProductChanged) -> str:
    """Begin to probe a product's devices now and then, or in other intervals."""
    if turn.product_id == message.product_id:
        probe.schedule(turn)
    return FOLDED


RULES: Final[Mapping[type[Any], Callable[[Turn, Any], str]]] = {
    SendCommand: _sent,
    CancelCommand: _cancelled,
    CommandAnswered: _answered,
    MessagePublished: _published,
    DeliveryObserved: _delivered,
    ProbeDevice: probe.ask,
    ProbeAnswered: probe.hear,
    ResourceRequested: pulls.answer,
    PresenceChanged: _connected,
    DeviceRegistered: _registered,
    DeviceDeleted: _deleted,
    TagsChanged: _tagged,
}
"""What is done with a message of one device: a rule takes its turn at the row, and says what came of it in a word.

A table, since an `isinstance` of a struct costs as much as decoding one.
"""
VISITS: Final[Mapping[type[Any], Callable[[Turn, Any], str]]] = {
    SendToTag: _fanned,
    CancelFanOut: _unfanned,
    TimePassed: _ticked,
    ProductChanged: _scheduled,
}
"""What is done when a broadcast's sweep visits a row."""
