"""One message's turn at a device's row: events are folded as they are said, and what they entail is said with them.

Its id and order name each output: one that is repeated after a crash is recognised, and identical. Pure.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec.structs import replace

from libs.runtime.lane.answers import answer
from libs.topics import catalog, names
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandEnded,
    CommandQueued,
    CommandReplied,
    CommandSent,
)

from . import limits, mouth
from .fold import fold, put
from .model import NEVER, Reply
from .outcomes import Waiter, tell_end
from .views import show, show_past

if TYPE_CHECKING:
    from libs.runtime.lane.answers import Asking
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.base import ReplyTo
    from libs.topics.messages.command_requests import MessagePublished
    from libs.topics.messages.command_views import CommandView

    from .fold import Event
    from .limits import Rules
    from .model import Command, Entry, Reference, Started

Outcome: TypeAlias = Literal["failed", "rejected", "expired", "cancelled", "timed_out"]


class Turn:
    """Holds the row as it is by now, and all that was said."""

    __slots__ = ("at", "device_id", "ends", "now", "outputs", "product_id", "row", "rules", "said", "shared")

    def __init__(self, row: Entry, at: At, shared: Reference, rules: Rules) -> None:
        self.row, self.at, self.shared, self.rules = row, at, shared, rules
        self.now = max(at.timestamp, shared.state)
        """The inbox's time: the record's, or that of the newest tick before it."""
        self.product_id, _, self.device_id = at.key.decode().partition("/")
        self.outputs: list[Output] = []
        self.said = 0
        self.ends: list[tuple[str, str]] = []
        """Mode and state of each command that came to its end."""

    def id(self) -> str:
        """Return the next output's id."""
        self.said += 1
        return self.at.id(self.said - 1)

    def say(self, event: Event) -> None:
        """Fold an event, and publish it. Whoever waits for the end of its command is answered by that."""
        waiters: tuple[ReplyTo, ...] = ()
        scouts = True
        over = type(event) is CommandEnded or type(event) is CommandReplied
        if over and (command := self.row.find(event.request_id)) is not None:
            waiters = command.waiters
            self.ends.append((command.mode, event.outcome if type(event) is CommandEnded else "replied"))
            # Else its notice may never come, or the next one may be of its sending on an earlier connection.
            scouts = type(event) is CommandReplied and command.tries <= command.attempts + 1
        self.row = fold(self.row, event)
        if not scouts and self.row.scout == event.request_id:
            self.row.scout = ""  # `fold` has made the row anew
        self.outputs += catalog.publish(names.COMMANDS_EVENTS, self.at.key, event)
        for waiter in waiters:
            self.outputs += tell_end(Waiter(waiter), self.at, self.ended(event))

    def ended(self, event: Event) -> CommandView:
        """Show a command that came to its end by an event, with the reply that may be too large to be remembered."""
        past = self.row.recall(event.request_id)
        assert past is not None
        if type(event) is CommandReplied:
            reply = Reply(event.message_id, event.encoding, bytes(event.payload), event.at, event.rtt_ms, late=False)
            past = replace(past, reply=reply)
        return show_past(self.product_id, self.device_id, past)

    def show(self, request_id: str) -> CommandView | None:
        """Show a command as it is now; None: it is unknown, or forgotten."""
        return show(self.product_id, self.device_id, self.row, request_id)

    def answer(self, request: Asking, status: int, body: Any) -> None:
        self.outputs += answer(request, self.at, status, body)

    def accept(self, event: CommandAccepted, waiter: ReplyTo | None = None, *, by_tag: bool = False) -> Started:
        """Open a command, and send it where the device can hear and nothing waits before it.

        ``by_tag``: a publish to its tag reaches the device.
        """
        row = self.row
        ahead = event.mode == "cmd" and row.hears and (self._scouting() or bool(row.backlog()))
        self.say(event)
        command = self.row.open[-1]
        if waiter is not None:
            command = replace(command, waiters=(waiter,))
            self.row = put(self.row, command)
        if not self.row.hears:
            if event.mode == "rpc":
                self.end(command, "rejected", "the device is offline")
                return "rejected"
            self.queue(command)
            return "queued"
        if by_tag and not ahead:
            self.note(command)
            self.say(CommandSent(self.id(), self.product_id, self.device_id, command.request_id, 1, self.now))
        elif not ahead:
            self.send(command)
        return "accepted"

    def queue(self, command: Command) -> None:
        """Say that a command waits for the device."""
        waiting = sum([one.state == "queued" for one in self.row.open]) + 1
        self.say(CommandQueued(self.id(), self.product_id, self.device_id, command.request_id, waiting, self.now))

    def send(self, command: Command) -> None:
        """Give a command to the downlink."""
        self.outputs += mouth.to_device(self.at, self.id(), command, self.now)
        self.note(command)
        row = self.row
        if not row.heard and command.mode == "cmd":
            row.scout, row.scout_at = command.request_id, self.now

    def note(self, command: Command) -> None:
        """Note that a command is on its way."""
        self.row = put(self.row, replace(command, tries=command.tries + 1, link=self.row.link, tried_at=self.now))

    def told(self, message: MessagePublished) -> None:
        """Learn from the notice of a command's last sending whether somebody listens.

        It is the only one that is due, or one too many, as `decide.published` has it; of a command that is over nobody
        counts them. A call says nothing about commands: they are subscribed to apart.
        """
        row, command = self.row, self.row.find(message.request_id)
        due = 1 if command is None else command.tries - command.attempts
        if due > 1 or (due < 1 and message.heard):
            return
        scouted = row.scout == message.request_id
        here = command is not None and command.link == row.link and command.mode == "cmd"
        if not (scouted or here) or (message.heard and row.heard):
            return
        row = self.row = copy(row)
        if scouted:
            row.scout = ""
        if not message.heard:
            self._pause(row)
        elif message.refused is None:
            row.heard, row.scout, row.unheard, row.retry_at = True, "", 0, 0

    def _pause(self, row: Entry) -> None:
        row.heard = False
        if row.retry_at <= self.now:  # several that were under way together are one failure
            row.retry_at = self.now + min(limits.RETRY << row.unheard, limits.LONGEST_RETRY)
            row.unheard += 1

    def missed(self, command: Command, *, unheard: bool) -> None:
        """Note that a command reached nobody; ``unheard``: it is to be sent again on the same connection."""
        tries = max(command.tries - 1, command.attempts)
        back = replace(command, tries=tries, link=NEVER if unheard else command.link)
        self.row = put(self.row, back)
        if back.state == "accepted":
            self.queue(back)

    def _scouting(self) -> bool:
        """Whether a command is under way that finds out whether the device listens."""
        row = self.row
        return bool(row.scout) and self.now < row.scout_at + limits.NOTICE

    def flush(self) -> None:
        """Send what waits for the device, in order, as far as the pace allows; `lives.deadline` says when to go on.

        On a connection on which nothing was heard yet it is one command, until the downlink tells: a device subscribes
        after it has connected, and the second of two commands might be the first one that it hears.
        """
        if not self.row.open or not self.row.hears:
            return
        self._call_again()
        row, rules = self.row, self.rules
        if self.now < row.retry_at or not (waiting := row.backlog()):
            return
        if self.now >= row.window_at + rules.window:
            row = self.row = copy(row)
            row.window_at, row.window_sent = self.now, 0
        some = waiting[: max(0, rules.pace - row.window_sent)]
        if not row.heard:
            some = [] if self._scouting() else some[:1]
        if not some:
            return
        row = self.row = copy(row)
        row.window_sent += len(some)
        for command in some:
            self.send(command)

    def _call_again(self) -> None:
        """Make calls again that nobody heard. They do not wait in line, nor does anything wait for them."""
        for call in self.row.unheard_calls():
            if call.tried_at + limits.RETRY <= self.now:
                self.send(call)

    def open(self, request_id: str) -> Command:
        """Return a command that is known to be open."""
        command = self.row.find(request_id)
        assert command is not None
        return command

    def wait(self, request_id: str, waiter: ReplyTo) -> None:
        """Note who else waits for an rpc's end."""
        command = self.open(request_id)
        kept = [one for one in command.waiters if one != waiter]
        self.row = put(self.row, replace(command, waiters=(*kept[1 - limits.WAITERS :], waiter)))

    def expire(self) -> None:
        """End what has no time left: nothing is sent at that moment or after it."""
        now = self.now
        for command in self.row.open:
            if command.expires_at <= now:
                if command.mode == "rpc":
                    self.end(command, "timed_out", "the device did not reply in time")
                else:
                    self.end(command, "expired", "the device did not reply before its time was over")

    def end(self, command: Command, outcome: Outcome, reason: str) -> None:
        """Bring a command to its end without a reply."""
        self.say(
            CommandEnded(self.id(), self.product_id, self.device_id, command.request_id, outcome, reason, self.now)
        )
