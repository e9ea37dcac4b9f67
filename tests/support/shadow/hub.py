"""The shadow service without Kafka: one partition, its inbox, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import At, Due, Folded, Output, Shared, Sweep, Terms
from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.downlink import PublishMessage
from libs.topics.messages.hub import RequestAnswered, RequestRefused, TimePassed
from libs.topics.messages.shadow_changes import ShadowDocument
from services.shadow.fold import Event
from services.shadow.lives import deadline
from services.shadow.model import Entry, Product
from services.shadow.reference import fold_reference, sum_up
from services.shadow.step import Broadcast, Message, step
from services.shadow.views import terms
from tests.support.shadow.asking import KEY, T0, delete_device, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged

decode: Decoder[Any] = Decoder(Message)
decode_event: Decoder[Any] = Decoder(Event)
decode_publish: Decoder[PublishMessage] = Decoder(PublishMessage)
decode_answer: Decoder[Any] = Decoder(RequestAnswered | RequestRefused)
codec = Codec(Entry, int, Product)


class Hub:
    """``registered``: the device ``p1/d1`` is there from the beginning."""

    def __init__(self, *, registered: bool = True) -> None:
        self.time = T0
        self.rows: dict[bytes, Entry] = {}
        self.cells: dict[str, Product] = {}
        self.now = -1
        self.offset = -1
        self.log: list[tuple[str, bytes | None, bytes | None]] = []
        """Topic, key and value of everything that was said."""
        if registered:
            self.write(register())

    @property
    def shared(self) -> Shared[int, Product]:
        return Shared(self.now, self.cells)

    def write(self, message: Any, *, key: bytes | None = None) -> list[Output]:
        """Fold one more record; returns what is said. Raises what makes it a dead letter."""
        self.offset += 1
        if key is None:
            broadcast = isinstance(message, Broadcast)
            key = BROADCAST_KEY if broadcast else f"{message.product_id}/{message.device_id}".encode()
        at = At(names.SHADOW_INBOX, 0, self.offset, self.time, key)
        found = decode(encode(message))
        said = self._broadcast(found, at) if key == BROADCAST_KEY else self._visit(found, at)
        self.log += [(topic, of, value) for topic, of, value, _ in said]
        return said

    def ask(self, message: ChangeDesired | PatchTagged) -> Any:
        """Write a request, and return its one answer."""
        said = self.write(replace(message, reply_to=ReplyTo(3, "c1")))
        (answer,) = [decode_answer(value) for topic, _, value, _ in said if topic == names.API_REPLIES]
        return answer

    def tick(self, at: int) -> None:
        self.time = max(self.time, at)
        self.write(TimePassed(0, at))

    def relive(self) -> None:
        """Delete the device and register another one of its name."""
        version = self.row.registry_version
        self.write(delete_device(version=version + 1))
        self.write(register(version=version + 2))

    def _broadcast(self, message: Any, at: At) -> list[Output]:
        folded: Folded[int, Product] = fold_reference(self.shared, message, at)
        self.now = folded.state
        for name, cell in folded.cells.items():
            if cell is None:
                self.cells.pop(name, None)
            else:
                self.cells[name] = cell
        if folded.targets is None:
            return []
        assert isinstance(folded.targets, Due | Terms)
        index = Index(terms, deadline)
        for key, row in self.rows.items():
            index.put(key, row)
        found, said = index.select(folded.targets), list[Output]()
        for key in found:
            said += self._visit(message, replace(at, key=key, swept=True))
        visited = [self.rows.get(key) for key in found]
        return [*said, *sum_up(self.shared, message, at, Sweep(len(found), iter(visited)))]

    def _visit(self, message: Any, at: At) -> list[Output]:
        row = self.rows.get(at.key)
        before = None if row is None else codec.encode(row)
        after, said = step(row, message, at, self.shared)
        assert row is None or codec.encode(row) == before, "a step changes none of its arguments"
        if after is None:
            self.rows.pop(at.key, None)
        else:
            self.rows[at.key] = thawed(after)
        return list(said)

    # -- what came of it
    @property
    def row(self) -> Entry:
        return self.rows[KEY]

    @property
    def classic(self) -> Document:
        assert self.row.classic is not None
        return self.row.classic

    def events(self, key: bytes = KEY) -> list[Any]:
        return [
            decode_event(value) for topic, of, value in self.log if (topic, of) == (names.SHADOW_EVENTS, key) and value
        ]

    def documents(self) -> dict[bytes, ShadowDocument]:
        """The compacted topic."""
        newest = {of: value for topic, of, value in self.log if topic == names.SHADOW_DOCUMENTS}
        return {of: msgspec.json.decode(value, type=ShadowDocument) for of, value in newest.items() if of and value}

    def told(self, key: bytes = KEY) -> list[PublishMessage]:
        """All that was said to a device."""
        return published([(topic, of, value, -1) for topic, of, value in self.log if of == key])


def published(outputs: Sequence[Output]) -> list[PublishMessage]:
    return [decode_publish(value) for topic, _, value, _ in outputs if topic == names.DOWNLINK_MESSAGES]


def thawed(row: Entry) -> Entry:
    found = codec.thaw(bytes(8) + codec.encode(row))
    assert isinstance(found, Entry)
    return found
