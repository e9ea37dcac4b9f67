"""The commands service without Kafka: one partition, its inbox, and what it says."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import At, Due, Everything, Folded, Output, Shared, Sweep, Terms
from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.command_events import FanOutStarted, ProbeConcluded
from libs.topics.messages.downlink import PublishMessage
from libs.topics.messages.hub import RequestAnswered, RequestRefused, TimePassed
from services.commands.fold import Event
from services.commands.limits import DEFAULTS, Rules
from services.commands.lives import deadline
from services.commands.model import Entry, Product
from services.commands.reference import fold_reference, sum_up
from services.commands.step import Broadcast, Message, step
from services.commands.views import show_commands, terms
from tests.support.commands.asking import KEY, T0, presence, published, register

if TYPE_CHECKING:
    from libs.topics.messages.command_views import CommandView, DeviceCommands
    from libs.topics.messages.presence import SessionState

decode: Decoder[Any] = Decoder(Message)
decode_event: Decoder[Any] = Decoder(Event | FanOutStarted | ProbeConcluded)
decode_publish: Decoder[PublishMessage] = Decoder(PublishMessage)
decode_answer: Decoder[Any] = Decoder(RequestAnswered | RequestRefused)
codec = Codec(Entry, int, Product)


class Hub:
    """``online``: the device ``p1/d1`` is registered, and online or offline; None: nothing is known of it.

    ``tells``: the downlink tells at once that the broker has what the device is sent, and that the device listens.
    """

    def __init__(self, *, online: bool | None = False, rules: Rules = DEFAULTS, tells: bool = False) -> None:
        self.time, self.partition, self.tells = T0, 0, tells
        self.rules = rules
        self.rows: dict[bytes, Entry] = {}
        self.cells: dict[str, Product] = {}
        self.now = -1
        self.offset = -1
        self.log: list[tuple[str, bytes | None, bytes | None]] = []
        """Topic, key and value of everything that was said."""
        self.channels = count(1)
        self.asked = 0
        """How many requests were made that want an answer."""
        self.ends: list[tuple[str, str]] = []
        self.outcomes: list[tuple[str, str]] = []
        if online is not None:
            self.write(register())
        if online:
            self.connect()

    @property
    def shared(self) -> Shared[int, Product]:
        return Shared(self.now, self.cells)

    def write(self, message: Any, *, key: bytes | None = None) -> list[Output]:
        """Fold one more record; returns what is said. Raises what makes it a dead letter."""
        self.offset += 1
        if key is None:
            broadcast = isinstance(message, Broadcast)
            key = BROADCAST_KEY if broadcast else f"{message.product_id}/{message.device_id}".encode()
        at = At(names.COMMANDS_INBOX, self.partition, self.offset, self.time, key)
        found = decode(encode(message))
        said = self._broadcast(found, at) if key == BROADCAST_KEY else self._visit(found, at)
        self.log += [(topic, of, value) for topic, of, value, _ in said]
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

    def tick(self, at: int) -> None:
        self.time = max(self.time, at)
        self.write(TimePassed(0, at))

    def wait(self, ms: int) -> None:
        """Let time pass, with a tick in each second."""
        until = self.time + ms
        while self.time < until:
            self.tick(min(self.time + 1000, until))

    def _broadcast(self, message: Any, at: At) -> list[Output]:
        folded: Folded[int, Product] = fold_reference(self.shared, message, at, rules=self.rules)
        self.now = folded.state
        for name, cell in folded.cells.items():
            if cell is None:
                self.cells.pop(name, None)
            else:
                self.cells[name] = cell
        if folded.targets is None:
            return []
        index = Index(terms, lambda row: deadline(row, self.rules))
        for key, row in self.rows.items():
            index.put(key, row)
        said = list[Output]()
        if isinstance(folded.targets, Everything):
            found = sorted(self.rows)
        else:
            assert isinstance(folded.targets, Due | Terms)
            found = list(index.select(folded.targets))
        before = dict(self.rows)
        for key in found:
            said += self._visit(message, replace(at, key=key, swept=True))
        visited = [self.rows.get(key) for key in found if self.rows.get(key) is not before[key]]
        return [*said, *sum_up(self.shared, message, at, Sweep(len(found), iter(visited)), rules=self.rules)]

    def _visit(self, message: Any, at: At) -> list[Output]:
        row = self.rows.get(at.key)
        before = None if row is None else codec.encode(row)
        after, said = step(row, message, at, self.shared, self.rules, self._hear, self._hear_end)
        assert row is None or codec.encode(row) == before, "a step changes none of its arguments"
        if after is None:
            self.rows.pop(at.key, None)
        elif after is not row:
            self.rows[at.key] = thawed(after)
        return list(said)

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
        return [
            decode_event(value)
            for topic, of, value in self.log
            if (topic, of) == (names.COMMANDS_EVENTS, key) and value
        ]

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
        return [
            decode_publish(value)
            for topic, of, value in self.log
            if (topic, of) == (names.DOWNLINK_MESSAGES, key) and value
        ]

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


def thawed(row: Entry) -> Entry:
    found = codec.thaw(bytes(8) + codec.encode(row))
    assert isinstance(found, Entry)
    return found
