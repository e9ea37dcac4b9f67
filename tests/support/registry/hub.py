"""The registry without Kafka: all partitions, their inboxes, and what is on its way between them."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import At, Due, Folded, Keys, Output, Shared, Sweep, Targets, Terms
from libs.runtime.lane.rows import Codec
from libs.runtime.partitioner import partition_of
from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY, api_key_key
from libs.topics.messages.base import DeviceRequest, ReplyTo
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.registry import IssueApiKey, RevokeApiKey
from services.registry.memory import deadline
from services.registry.model import Entry, Known
from services.registry.reference import Broadcast, acknowledge, fold_reference
from services.registry.step import Message, step
from services.registry.views import terms
from tests.support.registry.asking import T0

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.registry.decide import Asked

decode: Decoder[Any] = Decoder(Message)
decode_answer: Decoder[Any] = Decoder(RequestAnswered | RequestRefused)
codec = Codec(Entry, int, Known)


class Record(NamedTuple):
    key: bytes
    value: bytes
    timestamp: int


def key_of(message: Any) -> bytes:
    """Under which key a message is written."""
    if isinstance(message, Broadcast):
        return BROADCAST_KEY
    if isinstance(message, DeviceRequest):
        return f"{message.product_id}/{message.device_id}".encode()
    if isinstance(message, IssueApiKey | RevokeApiKey):
        return api_key_key(message.key_id)
    key: str = message.product_id
    return key.encode()


class Part:
    """One partition of the inbox, and the table's."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Entry] = {}
        self.now = -1
        self.cells: dict[str, Known] = {}
        self.log: list[Record] = []
        self.said: list[list[Output]] = []
        """What each folded record made the registry say."""
        self.committed = 0

    @property
    def shared(self) -> Shared[int, Known]:
        return Shared(self.now, self.cells)


class Hub:
    def __init__(self, partitions: int = 1) -> None:
        self.parts = [Part() for _ in range(partitions)]
        self.time = T0
        self.links: dict[tuple[int, int], deque[Record]] = {}
        """Written by the worker of one partition into another (or the same): in order, for nobody else in any."""
        self.published: dict[str, list[tuple[bytes, bytes]]] = {}
        self.documents: dict[tuple[str, bytes], bytes] = {}
        self.answers: dict[str, list[Any]] = {}
        self._correlations = itertools.count(1)

    # -- input
    def home(self, key: bytes) -> int:
        return partition_of(key, len(self.parts))

    def write(self, message: Any, *, key: bytes | None = None, partition: int | None = None) -> None:
        """Append to the inbox, as somebody from outside."""
        key = key_of(message) if key is None else key
        number = self.home(key) if partition is None else partition
        self.parts[number].log.append(Record(key, encode(message), self.time))

    def ask(self, message: Asked, *, key: bytes | None = None) -> RequestAnswered | RequestRefused:
        """Write a request, let everything come to rest, and return its one answer."""
        correlation = self.send(message, key=key)
        self.settle()
        (answer,) = self.answers[correlation]
        assert isinstance(answer, RequestAnswered | RequestRefused)
        return answer

    def send(self, message: Asked, *, key: bytes | None = None) -> str:
        """Write a request whose answer is found under the correlation id that is returned."""
        correlation = f"c{next(self._correlations)}"
        self.write(replace(message, reply_to=ReplyTo(3, correlation)), key=key)
        return correlation

    def tick(self, at: int) -> None:
        self.time = max(self.time, at)
        for number in range(len(self.parts)):
            self.write(
                msgspec.convert({"type": "time_passed", "partition": number, "at": at}, Message), partition=number
            )
        self.settle()

    # -- running
    def settle(self) -> None:
        """Fold and deliver until nothing is left."""
        while True:
            ready = [number for number in range(len(self.parts)) if self.behind(number)]
            waiting = [way for way, records in self.links.items() if records]
            if not ready and not waiting:
                return
            for number in ready:
                self.fold(number)
            for way in waiting:
                self.deliver(way)

    def behind(self, number: int) -> bool:
        part = self.parts[number]
        return len(part.said) < len(part.log)

    def deliver(self, way: tuple[int, int]) -> None:
        """Let the oldest record on a way arrive."""
        self.parts[way[1]].log.append(self.links[way].popleft())

    def fold(self, number: int) -> Sequence[Output]:
        """Fold the partition's next record. What raises is a dead letter, and changes nothing."""
        part = self.parts[number]
        offset = len(part.said)
        record = part.log[offset]
        part.said.append([])
        at = At(names.REGISTRY_INBOX, number, offset, record.timestamp, record.key)
        message = decode(record.value)
        outputs = self._broadcast(part, message, at) if record.key == BROADCAST_KEY else self._visit(part, message, at)
        part.said[offset] = outputs
        self._route(number, outputs)
        return outputs

    def crash(self, number: int) -> None:
        """Lose the owner: its successor folds all that was not committed again, and says it again."""
        part = self.parts[number]
        part.rows = {key: thawed(row) for key, row in part.rows.items()}
        part.cells = {name: msgspec.msgpack.decode(codec.encode(cell), type=Known) for name, cell in part.cells.items()}
        for outputs in part.said[part.committed :]:
            self._route(number, outputs)

    def commit(self, number: int) -> None:
        self.parts[number].committed = len(self.parts[number].said)

    def _broadcast(self, part: Part, message: Any, at: At) -> list[Output]:
        folded: Folded[int, Known] = fold_reference(part.shared, message, at)
        part.now = folded.state
        for name, cell in folded.cells.items():
            assert cell is not None
            part.cells[name] = cell
        if folded.targets is None:
            return []
        found = select(part.rows, folded.targets)
        outputs: list[Output] = []
        for key in found:
            outputs += self._visit(part, message, replace(at, key=key, swept=True))
        return [*outputs, *acknowledge(part.shared, message, at, Sweep(len(found), iter(())))]

    def _visit(self, part: Part, message: Any, at: At) -> list[Output]:
        row = part.rows.get(at.key)
        before = None if row is None else codec.encode(row)
        after, outputs = step(row, message, at, part.shared, partitions=len(self.parts))
        assert row is None or codec.encode(row) == before, "a step changes none of its arguments"
        if after is None:
            part.rows.pop(at.key, None)
        else:
            part.rows[at.key] = after
        return list(outputs)

    def _route(self, number: int, outputs: Sequence[Output]) -> None:
        for topic, key, value, partition in outputs:
            assert key is not None
            if topic == names.REGISTRY_INBOX:
                assert value is not None
                target = self.home(key) if partition < 0 else partition
                self.links.setdefault((number, target), deque()).append(Record(key, value, self.time))
            elif topic == names.API_REPLIES:
                assert value is not None
                known = self.answers.setdefault(key.decode(), [])
                answer = decode_answer(value)
                if answer not in known:
                    known.append(answer)
            elif topic in (names.REGISTRY_DEVICES, names.REGISTRY_PRODUCTS, names.REGISTRY_API_KEYS):
                if value is None:
                    self.documents.pop((topic, key), None)
                else:
                    self.documents[topic, key] = value
            else:
                assert value is not None
                self.published.setdefault(topic, []).append((key, value))

    # -- what came of it
    def row(self, key: bytes) -> Entry | None:
        return self.parts[self.home(key)].rows.get(key)

    def rows(self, fits: Callable[[Entry], bool]) -> list[Entry]:
        return [row for part in self.parts for row in part.rows.values() if fits(row)]

    def events(self, key: bytes | None = None) -> list[dict[str, Any]]:
        """The public log, of one key: each event once, as it was first said."""
        found: dict[str, dict[str, Any]] = {}
        for where, value in self.published.get(names.REGISTRY_EVENTS, []):
            if key in (None, where):
                event = msgspec.json.decode(value)
                assert found.setdefault(event["id"], event) == event, "one id, two contents"
        return list(found.values())


def select(rows: dict[bytes, Entry], targets: Targets) -> list[bytes]:
    """Find rows as the lane does."""
    assert isinstance(targets, Due | Terms | Keys)
    if isinstance(targets, Keys):
        return [key for key in targets.keys if key in rows]
    index = Index(terms, deadline)
    for key, row in rows.items():
        index.put(key, row)
    return index.select(targets)


def thawed(row: Entry) -> Entry:
    found = codec.thaw(bytes(8) + codec.encode(row))
    assert isinstance(found, Entry)
    return found
