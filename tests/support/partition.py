"""A service that owns a table, without Kafka: one partition of its inbox, its rows, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from msgspec.structs import replace

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import At, Due, Everything, Output, Shared, Sweep, Terms
from libs.runtime.lane.rows import Row
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import TimePassed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.runtime.lane.model import Folded, Targets
    from libs.runtime.lane.rows import Codec

R = TypeVar("R", bound=Row)
C = TypeVar("C")


class Service(NamedTuple):
    """What a service gives to the lane, as it is bound there."""

    inbox: str
    codec: Codec
    decode: Callable[[bytes], Any]
    broadcasts: Any
    """Types of the messages that concern every device."""
    step: Callable[[Any, Any, At, Shared[int, Any]], tuple[Any, Sequence[Output]]]
    fold_reference: Callable[[Shared[int, Any], Any, At], Folded[int, Any]]
    sum_up: Callable[[Shared[int, Any], Any, At, Sweep], Sequence[Output]]
    terms: Callable[[Any], Any]
    deadline: Callable[[Any], int | None]


class Partition(Generic[R, C]):
    """``time``: when it begins, in ms. Rows are kept as the changelog would give them back."""

    def __init__(self, service: Service, time: int) -> None:
        self.service, self.time, self.partition = service, time, 0
        self.rows: dict[bytes, R] = {}
        self.cells: dict[str, C] = {}
        self.now = -1
        self.offset = -1
        self.log: list[tuple[str, bytes | None, bytes | None]] = []
        """Topic, key and value of everything that was said."""

    @property
    def shared(self) -> Shared[int, C]:
        return Shared(self.now, self.cells)

    def write(self, message: Any, *, key: bytes | None = None) -> list[Output]:
        """Fold one more record; returns what is said. Raises what makes it a dead letter."""
        self.offset += 1
        if key is None:
            broadcast = isinstance(message, self.service.broadcasts)
            key = BROADCAST_KEY if broadcast else f"{message.product_id}/{message.device_id}".encode()
        at = At(self.service.inbox, self.partition, self.offset, self.time, key)
        found = self.service.decode(encode(message))
        said = self._broadcast(found, at) if key == BROADCAST_KEY else self._visit(found, at)
        self.log += [(topic, of, value) for topic, of, value, _ in said]
        return said

    def tick(self, at: int) -> None:
        self.time = max(self.time, at)
        self.write(TimePassed(0, at))

    def said(self, topic: str, key: bytes | None) -> list[bytes]:
        """The values that were said on a topic under a key, without those that delete."""
        return [value for where, of, value in self.log if (where, of) == (topic, key) and value]

    def _broadcast(self, message: Any, at: At) -> list[Output]:
        folded = self.service.fold_reference(self.shared, message, at)
        self.now = folded.state
        for name, cell in folded.cells.items():
            if cell is None:
                self.cells.pop(name, None)
            else:
                self.cells[name] = cell
        if folded.targets is None:
            return []
        found, before, said = self._select(folded.targets), dict(self.rows), list[Output]()
        for key in found:
            said += self._visit(message, replace(at, key=key, swept=True))
        visited = [self.rows.get(key) for key in found if self.rows.get(key) is not before[key]]
        return [*said, *self.service.sum_up(self.shared, message, at, Sweep(len(found), iter(visited)))]

    def _select(self, targets: Targets) -> list[bytes]:
        if isinstance(targets, Everything):
            return sorted(self.rows)
        assert isinstance(targets, Due | Terms)
        index = Index(self.service.terms, self.service.deadline)
        for key, row in self.rows.items():
            index.put(key, row)
        return index.select(targets)

    def _visit(self, message: Any, at: At) -> list[Output]:
        row, codec = self.rows.get(at.key), self.service.codec
        before = None if row is None else codec.encode(row)
        after, said = self.service.step(row, message, at, self.shared)
        assert row is None or codec.encode(row) == before, "a step changes none of its arguments"
        if after is None:
            self.rows.pop(at.key, None)
        elif after is not row:
            self.rows[at.key] = self._stored(after)
        return list(said)

    def _stored(self, row: Any) -> R:
        found: Any = self.service.codec.thaw(bytes(8) + self.service.codec.encode(row))
        assert type(found) is type(row)
        kept: R = found
        return kept
