"""From ``commands.events`` to columns. Pure.

Each record is one row of ``command_events``, ``probes`` or ``fanouts``. All that a block says of a command is added up
to one row of ``commands`` besides, by the rules by which ClickHouse adds that one to the rows of other blocks: the
order of steps does not matter, nor how often one is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

from libs.topics.codec import Decoder, InvalidMessage
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandDelivered,
    CommandEnded,
    CommandQueued,
    CommandReplied,
    CommandSent,
    FanOutStarted,
    LateReplyRecorded,
    ProbeConcluded,
)

from .command_tables import COMMAND_EVENTS, COMMANDS, FANOUTS, PROBES
from .records import PARTITIONS, Row, Rows, check, transposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.topics.messages.command_views import CommandState

    from .table import Columns, Table

Step: TypeAlias = (
    CommandAccepted | CommandQueued | CommandSent | CommandDelivered | CommandReplied | CommandEnded | LateReplyRecorded
)
Event: TypeAlias = Step | ProbeConcluded | FanOutStarted
Said: TypeAlias = tuple[int, str, str, bytes]
"""What a device replied: when it came, message id, encoding, and payload as JSON, as in the event."""

STATES: Final[tuple[CommandState, ...]] = (
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
)
"""In the order of a command's life, as the column ``state`` of ``commands`` has them."""
_RANKS: Final[dict[str, int]] = {state: rank for rank, state in enumerate(STATES)}
_LEFT_IN: Final[dict[type[Step], CommandState]] = {
    CommandAccepted: "accepted",
    CommandQueued: "queued",
    CommandSent: "sent",
    CommandDelivered: "delivered",
    CommandReplied: "replied",
}
"""The state in which a step leaves its command, where its kind alone says so."""

ATTEMPTS: Final = range(1 << 32)
NOTHING: Final[Said] = (0, "", "", b"")

_CHECKS: Final[dict[type[Event], tuple[tuple[str, ...], tuple[str, ...]]]] = {
    CommandAccepted: (("at", "expires_at"), ()),
    CommandReplied: (("at",), ("rtt_ms",)),
    ProbeConcluded: (("at",), ("round_trip_ms",)),
    FanOutStarted: (("at",), ("members", "accepted", "queued", "refused", "rejected")),
}
"""Of each kind the fields with times and with numbers that a column must be able to hold, if it is not `_PLAIN`."""
_PLAIN: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (("at",), ())


class Entry(msgspec.Struct):
    """What is known of a command, in the order of the table's columns and added up as they are."""

    product_id: str
    device_id: str
    request_id: str
    fanout_id: str = ""
    mode: str = ""
    command: str = ""
    by: str = ""
    rank: int = 0
    """Of its state among `STATES`."""
    attempts: int = 0
    accepted_at: int | None = None
    expires_at: int | None = None
    sent_at: int | None = None
    delivered_at: int | None = None
    ended_at: int | None = None
    reason: str = ""
    rtt_ms: int | None = None
    reply: Said = NOTHING
    late_at: int | None = None
    late_reply: Said = NOTHING
    at: int = 0

    def add(self, event: Step) -> None:
        """Add a step."""
        at = event.at
        self.at = max(self.at, at)
        self.rank = max(self.rank, _RANKS.get(state_after(event), 0))
        if type(event) is CommandAccepted:
            self.fanout_id = max(self.fanout_id, event.fanout_id or "")
            self.mode = max(self.mode, event.mode)
            self.command = max(self.command, event.command)
            self.by = max(self.by, event.by)
            self.accepted_at = _first(self.accepted_at, at)
            self.expires_at = _first(self.expires_at, event.expires_at)
        elif type(event) is CommandSent:
            self.attempts = max(self.attempts, event.attempt)
            self.sent_at = _greatest(self.sent_at, at)
        elif type(event) is CommandDelivered:
            self.delivered_at = _first(self.delivered_at, at)
        elif type(event) is CommandReplied:
            self.attempts = max(self.attempts, 1)  # it may come before the downlink tells of the sending
            self.ended_at = _first(self.ended_at, at)
            self.rtt_ms = _greatest(self.rtt_ms, event.rtt_ms)
            self.reply = max(self.reply, _said(event))
        elif type(event) is CommandEnded:
            self.ended_at = _first(self.ended_at, at)
            self.reason = max(self.reason, event.reason)
        elif type(event) is LateReplyRecorded:
            self.attempts = max(self.attempts, 1)
            self.late_at = _first(self.late_at, at)
            self.late_reply = max(self.late_reply, _said(event))

    def row(self) -> Row:
        values = msgspec.structs.astuple(self)
        return (*values[:_STATE], STATES[self.rank], *values[_STATE + 1 :])


_STATE: Final = Entry.__struct_fields__.index("rank")


def _key(event: Step) -> tuple[str, str, str]:
    return event.product_id, event.device_id, event.request_id


def _said(event: CommandReplied | LateReplyRecorded) -> Said:
    return event.at, event.message_id, event.encoding, bytes(event.payload)


def _first(known: int | None, time: int) -> int:
    return time if known is None else min(known, time)


def _greatest(known: int | None, number: int) -> int:
    return number if known is None else max(known, number)


def state_after(event: Step) -> str:
    """Return the state in which a step leaves its command; of a late reply none, since the command stays as it is."""
    return event.outcome if type(event) is CommandEnded else _LEFT_IN.get(type(event), "")


class CommandRows(Rows[Event]):
    """What happened to commands, probes and fan-outs."""

    _decode = Decoder[Event](Event)

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._texts: list[bytes] = []
        self._commands: set[tuple[str, str, str]] = set()
        """Product, device and request id."""

    @property
    def size(self) -> int:
        return len(self.events) + len(self._commands)

    def _read(self, value: bytes | None) -> Event:
        event = self._decode(value)
        _check(event)
        if type(event) is not ProbeConcluded and type(event) is not FanOutStarted:
            self._commands.add(_key(cast("Step", event)))
        self._texts.append(value or b"")
        return event

    def tables(self) -> Iterator[tuple[Table, Columns]]:
        log, probes, fanouts = (list[Row]() for _ in range(3))
        commands: dict[tuple[str, str, str], Entry] = {}
        for offset, event, text in zip(self.offsets, self.events, self._texts, strict=True):
            place = (self.topic, self.partition, offset, event.id)
            if type(event) is ProbeConcluded:
                probes.append((*place, *_probe(event)))
            elif type(event) is FanOutStarted:
                fanouts.append((*place, *_fanout(event)))
            else:
                step = cast("Step", event)
                log.append((*place, *_step(step), text))
                key = _key(step)
                entry = commands.get(key)
                if entry is None:
                    entry = commands[key] = Entry(*key)
                entry.add(step)
        yield COMMAND_EVENTS, transposed(COMMAND_EVENTS, log)
        yield COMMANDS, transposed(COMMANDS, [entry.row() for entry in commands.values()])
        yield PROBES, transposed(PROBES, probes)
        yield FANOUTS, transposed(FANOUTS, fanouts)


def _check(event: Event) -> None:
    """Raise `InvalidMessage` for what no column can hold."""
    check(event, *_CHECKS.get(type(event), _PLAIN))
    if type(event) is CommandSent and event.attempt not in ATTEMPTS:
        raise InvalidMessage(f"attempt {event.attempt} is not a number from 0 to 2**32")
    if type(event) is ProbeConcluded and event.attempts not in ATTEMPTS:
        raise InvalidMessage(f"attempts {event.attempts} is not a number from 0 to 2**32")
    if type(event) is FanOutStarted and event.partition not in PARTITIONS:
        raise InvalidMessage(f"partition {event.partition} is not one of Kafka's")


def _step(event: Step) -> Row:
    return (
        event.__struct_config__.tag,
        event.product_id,
        event.device_id,
        event.request_id,
        state_after(event),
        getattr(event, "mode", ""),
        getattr(event, "command", ""),
        getattr(event, "by", ""),
        getattr(event, "attempt", 0),
        getattr(event, "message_id", ""),
        getattr(event, "rtt_ms", None),
        getattr(event, "reason", ""),
        event.at,
    )


def _probe(event: ProbeConcluded) -> Row:
    owner = (event.product_id, event.device_id, event.probe_id)
    return (*owner, event.mode, event.verdict, event.attempts, event.round_trip_ms, event.altered, event.at)


def _fanout(event: FanOutStarted) -> Row:
    counts = (event.members, event.accepted, event.queued, event.refused, event.rejected)
    return (event.fanout_id, event.product_id, event.tag, event.partition, *counts, event.at)
