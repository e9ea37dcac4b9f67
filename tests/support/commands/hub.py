"""The commands service without Kafka: one partition, its inbox, and what it says."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.command_events import FanOutStarted, ProbeConcluded
from libs.topics.messages.downlink import PublishMessage
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from services.commands.fold import Event
from services.commands.limits import DEFAULTS, Rules
from services.commands.lives import deadline
from services.commands.model import Entry, Product
from services.commands.reference import fold_reference, sum_up
from services.commands.step import Broadcast, Message, step
from services.commands.views import show_commands, terms
from tests.support.commands.asking import KEY, T0, presence, published, register
from tests.support.partition import Partition, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.runtime.lane.model import Output
    from libs.topics.messages.command_views import CommandView, DeviceCommands
    from libs.topics.messages.presence import SessionState

decode: Decoder[Any] = Decoder(Message)
decode_event: Decoder[Any] = Decoder(Event | FanOutStarted | ProbeConcluded)
decode_publish: Decoder[PublishMessage] = Decoder(PublishMessage)
decode_answer: Decoder[Any] = Decoder(RequestAnswered | RequestRefused)


def service(rules: Rules, tell: Callable[[str, str], None], tell_end: Callable[[str, str], None]) -> Service:
    return Service(
        inbox=names.COMMANDS_INBOX,
        codec=Codec(Entry, int, Product),
        decode=decode,
        broadcasts=Broadcast,
        step=partial(step, rules=rules, tell=tell, tell_end=tell_end),
        fold_reference=partial(fold_reference, rules=rules),
        sum_up=partial(sum_up, rules=rules),
        terms=terms,
        deadline=partial(deadline, rules=rules),
    )


class Hub(Partition[Entry, Product]):
    """``online``: the device ``p1/d1`` is registered, and online or offline; None: nothing is known of it.

    ``tells``: the downlink tells at once that the broker has what the device is sent, and that the device listens.
    """

    def __init__(self, *, online: bool | None = False, rules: Rules = DEFAULTS, tells: bool = False) -> None:
        self.ends: list[tuple[str, str]] = []
        self.outcomes: list[tuple[str, str]] = []
        super().__init__(service(rules, self._hear, self._hear_end), T0)
        self.rules, self.tells = rules, tells
        self.channels = count(1)
        self.asked = 0
        """How many requests were made that want an answer."""
        if online is not None:
            self.write(register())
        if online:
            self.connect()

    def write(self, message: Any, *, key: bytes | None = None) -> list[Output]:
        said = super().write(message, key=key)
        if self.tells:
            for topic, _, value, _ in said:
                if topic == names.DOWNLINK_MESSAGES and value and (given := decode_publish(value)).device_id:
                    self.write(published(str(given.request_id), at=self.time, device=given.device_id))
        return said

    def ask(self, message: Any) -> Any:
        """Write a request, and return its answer; None: it comes later."""
        self.asked += 1
        asked = replace(message, reply_to=ReplyTo(3, f"c{self.offset}"))
        return next(iter(answers(self.write(asked))), None)

    def connect(self, session: SessionState = "online", *, device: str = "d1", channel: str | None = None) -> None:
        """Open another connection, or, with ``offline``, close it."""
        number = next(self.channels)
        self.write(presence(session, number, channel or f"ch{number}", device=device))

    def wait(self, ms: int) -> None:
        """Let time pass, with a tick in each second."""
        until = self.time + ms
        while self.time < until:
            self.tick(min(self.time + 1000, until))

    def _hear(self, kind: str, outcome: str) -> None:
        self.outcomes.append((kind, outcome))

    def _hear_end(self, mode: str, state: str) -> None:
        self.ends.append((mode, state))

    # -- what came of it
    @property
    def row(self) -> Entry:
        return self.rows[KEY]

    def events(self, key: bytes = KEY) -> list[Any]:
        return [event for event in self._said(key) if type(event) is not ProbeConcluded]

    def verdicts(self, key: bytes = KEY) -> list[ProbeConcluded]:
        """What came of a device's probes."""
        return [event for event in self._said(key) if type(event) is ProbeConcluded]

    def _said(self, key: bytes) -> list[Any]:
        return [decode_event(value) for value in self.said(names.COMMANDS_EVENTS, key)]

    def story(self, request_id: str = "r1") -> list[str]:
        """What happened to a command, in the words of the events' types."""
        return [type(event).__name__ for event in self.events() if event.request_id == request_id]

    def answered(self) -> Any:
        """The newest answer."""
        return [decode_answer(value) for topic, _, value in self.log if topic == names.API_REPLIES][-1]

    def told(self, key: bytes = KEY) -> list[PublishMessage]:
        """All commands of the ledger that were given to the downlink for a device."""
        return [message for message in self._published(key) if not _is_the_hubs(message)]

    def told_by_itself(self, key: bytes = KEY) -> list[PublishMessage]:
        """All else that was given to it: probes, the time, tags."""
        return [message for message in self._published(key) if _is_the_hubs(message)]

    def _published(self, key: bytes) -> list[PublishMessage]:
        return [decode_publish(value) for value in self.said(names.DOWNLINK_MESSAGES, key)]

    def sent(self) -> list[str]:
        """The request ids of all that was given to the downlink for the device, in order."""
        return [str(message.request_id) for message in self.told()]

    def commands(self, key: bytes = KEY) -> DeviceCommands:
        shown = show_commands(key, self.rows.get(key), self.shared)
        assert shown is not None
        return shown

    def command(self, request_id: str = "r1") -> CommandView:
        shown = self.commands()
        (view,) = [one for one in (*shown.open, *shown.ended) if one.request_id == request_id]
        return view


def _is_the_hubs(message: PublishMessage) -> bool:
    return message.topic.startswith("/sys/") or "/$" in message.topic


def answers(outputs: list[Output]) -> list[Any]:
    return [decode_answer(value) for topic, _, value, _ in outputs if topic == names.API_REPLIES]
