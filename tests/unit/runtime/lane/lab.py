"""A lane without Kafka: events go in by slices, and the test decides when deliveries are acknowledged."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from libs.runtime.lane.lane import Lane
from libs.runtime.lane.model import ANY_PARTITION, At, Due, Everything, Keys, Output, Targets, Terms, send
from libs.runtime.lane.part import Part
from libs.runtime.lane.passage import passage
from libs.runtime.lane.rows import Row, is_dead
from libs.topics.codec import InvalidMessage, UnknownKind
from libs.topics.identity import BROADCAST_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

    from libs.runtime.lane.producer import Deliveries

INBOX, OUT, LETTERS = "things.inbox", "things.out", "things.dead-letters"


class Record(NamedTuple):
    """A record of the inbox or of the changelog."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = 1_700_000_000_000


class Sent(NamedTuple):
    topic: str
    key: bytes | None
    value: Any
    """Bytes; None deletes a document."""
    partition: int = ANY_PARTITION


class Event(msgspec.Struct, frozen=True):
    """What a test writes into the inbox; ``kind`` says what `step` makes of it."""

    kind: str = "add"
    due: int | None = None
    tag: str | None = None
    text: str | None = None
    now: int = 0
    keys: tuple[str, ...] = ()
    cells: dict[str, str | None] = {}


class Thing(Row, kw_only=True):
    count: int = 0
    due: int = 0
    tag: str = ""
    text: str = ""


class World(msgspec.Struct, array_like=True, frozen=True):
    """The shared state: how many broadcasts there were."""

    broadcasts: int = 0
    text: str = ""


def decode(value: bytes | None) -> Event:
    if value is None:
        raise InvalidMessage("no value")
    if value.startswith(b"new"):
        raise UnknownKind("new")
    try:
        return msgspec.json.decode(value, type=Event)
    except msgspec.DecodeError as error:
        raise InvalidMessage(str(error)) from error


def say(at: At, row: Thing | None, shared: World) -> Output:
    """An output whose content depends on everything that a step may know."""
    count = -1 if row is None else row.count
    return send(OUT, at.key, b"%s %d %d" % (at.id().encode(), count, shared.broadcasts))


def step(  # noqa: PLR0911 - one return per kind of event
    row: Thing | None, event: Event, at: At, shared: World
) -> tuple[Thing | None, Sequence[Output]]:
    match event.kind:
        case "look":  # no effect at all
            return row, ()
        case "ask":  # an output, no change
            return row, (say(at, row, shared),)
        case "ask_if_odd":  # an effect that hangs on the shared state alone
            return row, (say(at, row, shared),) if shared.broadcasts % 2 else ()
        case "delete":
            return None, (say(at, row, shared),)
        case "boom":
            raise ValueError("boom")
        case "flood":
            return row, (send(OUT, at.key, b"x" * 2000),)
        case "sweep_even" if row is not None and row.count % 2:
            return row, ()
    row = row or Thing()
    changed = Thing(
        count=row.count + 1,
        due=row.due if event.due is None else event.due,
        tag=row.tag if event.tag is None else event.tag,
        text=row.text if event.text is None else event.text,
    )
    return changed, (say(at, changed, shared),)


def tally(key: bytes, row: Thing) -> tuple[str, str] | None:
    return (key.decode()[:1], row.tag) if row.tag else None


def fold_world(world: World, event: Event, at: At) -> tuple[World, Targets | None]:
    targets: Targets | None = None
    match event.kind:
        case "boom":
            raise ValueError("boom")
        case "tick":
            targets = Due(event.now)
        case "everything" | "delete" | "sweep_even":
            targets = Everything()
        case "tagged":
            targets = Terms((("tag", event.tag or ""),))
        case "named":
            targets = Keys(tuple(key.encode() for key in event.keys))
    return World(world.broadcasts + 1, world.text if event.text is None else event.text), targets


class Producer:
    """Keeps what the lane sends; nothing is acknowledged before `Lab.deliver`."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def say(self, outputs: Sequence[Output], deliveries: Deliveries) -> None:
        deliveries.pending += len(outputs)
        self.sent += [Sent(*output) for output in outputs]

    def send(self, topic: str, messages: list[dict[str, Any]], deliveries: Deliveries, partition: int) -> None:
        deliveries.pending += len(messages)
        self.sent += [Sent(topic, message["key"], message["value"], partition) for message in messages]

    def poll(self) -> None:
        """Nothing comes back by itself."""


class Lab:
    def __init__(self, changelog: Sequence[Record] = (), *, part: Part | None = None, **options: Any) -> None:
        """``changelog``: what the partition is recovered from."""
        self.producer = Producer()
        self.forgotten: list[Any] = []
        self.acknowledged: list[int] = []  # end offsets of slices, in order
        consumer = SimpleNamespace(begin=lambda message: message.records, forget=self.forgotten.append)
        app: Any = SimpleNamespace(lane_producer=self.producer, consumer=consumer)
        table: Any = SimpleNamespace(changelog_name="things-changelog", name="things", data=Parts(self))
        defaults: dict[str, Any] = {
            "decode": decode,
            "row": Thing,
            "step": step,
            "shared": World(),
            "fold_shared": fold_world,
            "terms": lambda row: (("tag", row.tag),) if row.tag else (),
            "deadline": lambda row: row.due or None,
        }
        self.lane = Lane(app, table, service="things", inbox=INBOX, dead_letters=LETTERS, **{**defaults, **options})
        self.part = part or Part(0, self.lane.new_index())
        if changelog:
            self.part.apply(changelog)
        asyncio.run(self.part.build(self.lane.codec))

    def slice(self, records: Sequence[Record], generation: int = 1) -> Any:
        """One slice as Faust's stream hands it over."""
        message = SimpleNamespace(topic=INBOX, partition=0, generation_id=generation, records=records)
        end = records[-1].offset + 1 if records else 0
        return SimpleNamespace(message=message, ack=lambda: self.acknowledged.append(end))

    def feed(self, *records: Record, generation: int = 1) -> None:
        """Fold one slice to its end, sweeps included."""
        self.lane.counters.events += len(records)
        for _ in passage(self.lane, self.part, self.slice(records, generation), records):
            continue

    def deliver(self) -> list[Record]:
        """Acknowledge everything in flight; returns the changelog records of it, in order."""
        pipeline, changelog = self.lane.pipeline, list[Record]()
        while pipeline._sending:
            batch = pipeline._sending.popleft()
            changelog += [Record(change["key"], change["value"], 0) for change in batch.changed]
            batch.part.settle(batch.changed, 1 if batch.changed else None, batch.revision, purge=batch.purge)
            if batch.event is not None:
                batch.event.ack()
        return changelog

    def counts(self) -> dict[bytes, int]:
        """``count`` of every row that lives."""
        return {key: row.count for key, row in self.rows().items()}

    def rows(self) -> dict[bytes, Any]:
        """Every row that lives, without what the lane keeps in it."""
        return {
            key: msgspec.structs.replace(self.thawed(row), revision=0, offset=-1)
            for key, row in self.part.items()
            if not is_dead(row)
        }

    def thawed(self, stored: Any) -> Any:
        return self.lane.codec.thaw(stored) if isinstance(stored, bytes) else stored

    def row(self, key: bytes) -> Any:
        return self.thawed(self.part.peek(key))

    def outputs(self) -> list[bytes]:
        return [sent.value for sent in self.producer.sent if sent.topic == OUT]

    def letters(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(sent.value) for sent in self.producer.sent if sent.topic == LETTERS]

    def reasons(self) -> list[str]:
        return [letter["reason"] for letter in self.letters()]


class Parts:
    """The store of a lab: its one partition."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def part(self, _number: int) -> Part:
        return self._lab.part

    def parts(self) -> list[Part]:
        return [self._lab.part]

    active_parts = parts


def event(key: bytes | None, offset: int, kind: str = "add", **fields: Any) -> Record:
    return Record(key, msgspec.json.encode(Event(kind=kind, **fields)), offset)


def broadcast(offset: int, kind: str, **fields: Any) -> Record:
    return event(BROADCAST_KEY, offset, kind, **fields)


def events(key: bytes, offsets: Iterable[int], kind: str = "add", **fields: Any) -> list[Record]:
    return [event(key, offset, kind, **fields) for offset in offsets]


def ends_anywhere_and_starts_again(
    make: Callable[[Sequence[Record]], Lab], inbox: Sequence[Record], random: Random
) -> tuple[Lab, Lab, Lab]:
    """Return a worker that folds the whole inbox, one that ends anywhere in it, and the one that goes on after that.

    ``make``: a worker that finds this changelog. The last one begins where the one before it may have committed.
    """
    whole, first = make(()), make(())
    whole.feed(*inbox)
    reached = random.randrange(len(inbox) + 1)
    committed = random.randrange(reached + 1)
    if reached:
        first.feed(*inbox[:reached])
    second = make(first.deliver())
    if inbox[committed:]:
        second.feed(*inbox[committed:], generation=2)
    return whole, first, second


def said(*labs: Lab) -> set[tuple[str, bytes | None, bytes | None]]:
    """What was sent, whatever was repeated."""
    return {(sent.topic, sent.key, sent.value) for one in labs for sent in one.producer.sent}
