"""What the commands service remembers: one row per device, with the commands that are open, and some that are over.

A device that is not registered may have a row too, since presence tells of it; applications know nothing of it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from libs.runtime.lane.memory import Answered
from libs.runtime.lane.model import Shared
from libs.runtime.lane.rows import Row
from libs.topics.messages.base import Encoding, Millis, ReplyTo
from libs.topics.messages.command_views import ProbeView
from libs.topics.messages.presence import SessionState

Mode: TypeAlias = Literal["cmd", "rpc"]
OpenState: TypeAlias = Literal["accepted", "queued", "sent", "delivered"]
EndState: TypeAlias = Literal["replied", "failed", "rejected", "expired", "cancelled", "timed_out"]
Started: TypeAlias = Literal["accepted", "queued", "refused", "rejected"]
"""What came of a fan-out for one member, when it reached it."""

NEVER: int = -1


class Command(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command that is not over. The fields up to ``sent_at`` follow from the public log."""

    request_id: str
    fanout: bool
    """It is a member's of the fan-out of this id."""
    mode: Mode
    command: str
    encoding: Encoding
    payload: bytes
    """JSON, as messages carry it."""
    accepted_at: Millis
    expires_at: Millis
    by: str
    state: OpenState = "accepted"
    attempts: int = 0
    sent_at: Millis | None = None
    tries: int = 0
    """How often it was given to the downlink, without what nobody heard."""
    link: int = NEVER
    """The device's connection, as `Entry.link` counts them, for which it was given to the downlink last; `NEVER` also
    where nobody heard that."""
    tried_at: Millis = 0
    """When that was."""
    waiters: tuple[ReplyTo, ...] = ()
    """Of an rpc: who waits for its end. At most `limits.WAITERS`."""

    @property
    def doubtful(self) -> bool:
        """Whether the downlink has it, and has not told what became of it."""
        return self.tries > self.attempts


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the device answered."""

    message_id: str
    encoding: Encoding
    payload: bytes
    received_at: Millis
    rtt_ms: int
    late: bool


class Past(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command that is over. All of it follows from the public log."""

    request_id: str
    fanout: bool
    mode: Mode
    command: str
    accepted_at: Millis
    expires_at: Millis
    by: str
    state: EndState
    attempts: int
    sent_at: Millis | None
    ended_at: Millis
    reason: str | None = None
    reply: Reply | None = None
    """Of several the one in time, else the newest; None also where it is too large to be kept."""
    heard: tuple[str, ...] = ()
    """Message ids of the newest replies: one that is delivered again is known by it. At most `limits.HEARD`."""


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command that is over as its row keeps it: what is looked at while other messages are folded, and the whole.

    Rows are written whole with every event, and what is over is most of a busy device's: bytes are written at once.
    """

    request_id: str
    fanout: bool
    state: EndState
    ended_at: Millis
    reply_size: int
    """Bytes of its reply's payload; 0: none is kept."""
    late: bool
    """There was a reply after its end."""
    frame: bytes
    """The whole `Past`, in msgpack."""

    def whole(self) -> Past:
        return _decode(self.frame)


def keep(past: Past) -> Kept:
    """Make what a row keeps of a command that is over."""
    return Kept(
        past.request_id,
        past.fanout,
        past.state,
        past.ended_at,
        0 if past.reply is None else len(past.reply.payload),
        len(past.heard) > (past.state == "replied"),
        _encode(past),
    )


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Past).decode


class Fanned(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of a fan-out that visited the device."""

    fanout_id: str
    outcome: Started


class Probe(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A probe that has no verdict yet."""

    probe_id: str
    mode: Literal["strict", "normal", "loose"]
    attempts: int = 0
    """All but the last one were missed."""
    message_id: str = ""
    """Of the last attempt."""
    sent_at: Millis = 0
    """When that was given to the downlink."""
    asked_at: Millis | None = None
    """When the broker acknowledged it; None: nothing was heard of that."""
    waiters: tuple[ReplyTo, ...] = ()


class Entry(Row, kw_only=True):
    """The row of one device."""

    product_id: str = ""
    """As in its key: what a row is found and listed under is told from the row alone."""
    registered: bool = False
    gone_at: Millis | None = None
    """When it was deleted: the row is a remnant, and drops what comes late."""
    tags: tuple[str, ...] = ()
    tags_version: int = 0
    registry_version: int = 0
    """Of the registry's newest event about it: an older one is met again."""
    session: SessionState | None = None
    """None: presence has not told, and the device counts as offline."""
    presence_id: str = ""
    """Of presence's newest event about it."""
    channel_id: str | None = None
    """The newest connection that presence told of."""
    link: int = 0
    """How many these were: commands are sent again once for each."""
    open: tuple[Command, ...] = ()
    """In order of acceptance. At most `limits.Rules.open`."""
    ended: tuple[Kept, ...] = ()
    """In order of their ends; `limits` says which are forgotten."""
    window_at: Millis = 0
    """When the window began in which at most `limits.Rules.pace` commands that had waited are sent."""
    window_sent: int = 0
    answered: tuple[Answered, ...] = ()
    """At most `libs.runtime.lane.memory.ANSWERS`, the newest last."""
    fanned: tuple[Fanned, ...] = ()
    """The newest fan-outs that visited it, at most `limits.FANNED`, the newest last."""
    probes: tuple[Probe, ...] = ()
    """At most `probe.RUNNING`, and one that is scheduled."""
    probed: tuple[ProbeView, ...] = ()
    """The newest verdicts that somebody asked for, at most `probe.KEPT`."""
    probe_at: Millis | None = None
    """When the device is probed next without being asked for; None: not at all."""
    told_tags: int = 0
    """Version of the tags that the device was told last."""
    heard: bool = False
    """Whether somebody was there to hear a command on the present connection, when the last one was published."""
    scout: str = ""
    """The request id of the command that finds that out; empty: none is under way."""
    scout_at: Millis = 0
    """When it was given to the downlink."""
    unheard: int = 0
    """How many in a row found out that nobody was there."""
    retry_at: Millis = 0
    """No command that waits is sent before this moment, since nobody heard the last one."""
    follows: int = NEVER
    """Version of the tags to whose topics the device says it has subscribed; `NEVER`: not to those it had by then."""

    @property
    def hears(self) -> bool:
        """Whether it makes sense to send it something: a message too many does no harm."""
        return self.session is not None and self.session != "offline"

    @property
    def hears_tags(self) -> bool:
        """Whether what is published to one of its tags reaches it, by all that is known.

        A device subscribes to its commands and to its tags at once, so who was heard on this connection has done both.
        """
        return self.session == "online" and self.heard and self.follows == self.tags_version

    def find(self, request_id: str) -> Command | None:
        """Return a command that is open."""
        for command in self.open:
            if command.request_id == request_id:
                return command
        return None

    def recall(self, request_id: str) -> Past | None:
        """Return a command that is over, and not forgotten."""
        for kept in self.ended:
            if kept.request_id == request_id:
                return kept.whole()
        return None

    def visit(self, fanout_id: str) -> Fanned | None:
        """Return what came of a fan-out, if it is not forgotten."""
        for fanned in self.fanned:
            if fanned.fanout_id == fanout_id:
                return fanned
        return None

    def backlog(self) -> list[Command]:
        """The commands that were not sent for the device's present connection, in order."""
        link = self.link
        return [one for one in self.open if one.link != link and one.mode == "cmd"]

    def unheard_calls(self) -> list[Command]:
        """The calls that nobody heard when they were made last."""
        return [one for one in self.open if one.link == NEVER and one.mode == "rpc"]


class Product(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every partition knows of a product, by its id: a cell of the reference data."""

    version: int
    command_ttl: int | None
    """How long its commands wait, in ms; None: as the hub says."""
    probe_interval: int | None = None
    """Milliseconds between two probes of each of its devices; None: they are not probed unless somebody asks."""
    to_tags: tuple[tuple[str, int], ...] = ()
    """The newest fan-outs that were published to a tag, at most `limits.TO_TAGS`: their ids, and the offsets of the
    requests that this was done for. Kept by the partition that does it."""


Reference: TypeAlias = Shared[Millis, Product]
"""What steps see as ``shared``: the newest tick, and the products."""
