"""The fan-out of the live stream: records to those who asked for them. Pure, but for what `Outbox` wakes.

All subscribers that have caught up are where the one reader is, so a position is written once for all of them. One
that is ahead, since it had read from a process that was further, skips what it had until the reader is there too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from . import frames
from .frames import Record
from .positions import Cursor, Place, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Listener: TypeAlias = Callable[[Record], None]
TOO_SLOW: Final = "too_slow"


class Outbox:
    """What one subscriber gets next. Bounded: whoever does not read is ended, and may resume."""

    def __init__(self, product_id: str, kinds: frozenset[str], limit: int, wake: Callable[[], None]) -> None:
        """``limit``: bytes that may wait. ``wake`` is called when there is something to `drain`."""
        self.product_id, self.kinds, self.topics = product_id, kinds, topics_of(kinds)
        self.ahead: dict[Place, int] = {}
        """Where it is, of partitions in which it is further than the reader was when it joined."""
        self.over = False
        self.code = ""
        """Why it is over."""
        self._limit, self._wake = limit, wake
        self._waiting: list[bytes] = []
        self._size = 0

    def put(self, frame: bytes) -> None:
        if self.over:
            return
        if self._size + len(frame) > self._limit:
            self.end(TOO_SLOW, f"more than {self._limit} bytes wait to be read; connect again to go on from here")
            return
        self._waiting.append(frame)
        self._size += len(frame)
        self._wake()

    def end(self, code: str, detail: str) -> None:
        """Let this be the last."""
        if not self.over:
            self.over, self.code = True, code
            self._waiting.append(frames.ended(code, detail))
            self._wake()

    def __len__(self) -> int:
        return len(self._waiting)

    def drain(self) -> bytes:
        """Take all that waits."""
        taken = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return taken


class Fan:
    """Who gets what of the records that the one reader of this process has."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._cursor = Cursor({})
        self._outboxes: dict[str, list[Outbox]] = {}
        self._listeners: dict[tuple[str, str | None], list[Listener]] = {}
        self._topics: set[str] = set()

    @property
    def vector(self) -> Mapping[Place, int]:
        """Of each partition that is read, the next record."""
        return self._cursor.vector

    def follows(self, topics: Iterable[str]) -> bool:
        return self._topics.issuperset(topics)

    def begin(self, topic: str, offsets: Sequence[int]) -> None:
        """Begin with a topic. ``offsets``: of each partition, the next record."""
        self._topics.add(topic)
        self._cursor.vector |= {(topic, number): offset for number, offset in enumerate(offsets)}

    def leave(self, topic: str) -> None:
        """Read a topic no more: nobody wants it."""
        self._topics.discard(topic)
        for number in range(self._partitions):
            self._cursor.vector.pop((topic, number), None)

    def join(self, outbox: Outbox, position: Mapping[Place, int]) -> None:
        """Let a subscriber take part who has had all before ``position``, and who reads by itself up to `vector`."""
        outbox.ahead = {place: at for place, at in position.items() if at > self.vector.get(place, at)}
        self._outboxes.setdefault(outbox.product_id, []).append(outbox)

    def part(self, outbox: Outbox) -> None:
        """Let a subscriber go, if he takes part at all."""
        joined = self._outboxes.get(outbox.product_id, [])
        if outbox in joined:
            joined.remove(outbox)
        if not joined:
            self._outboxes.pop(outbox.product_id, None)

    def outboxes(self) -> list[Outbox]:
        return [outbox for joined in self._outboxes.values() for outbox in joined]

    def listen(self, product_id: str, device_id: str | None, listener: Listener) -> None:
        """Let somebody hear every record of one device from now on, or of a whole product, whatever it tells."""
        self._listeners.setdefault((product_id, device_id), []).append(listener)

    def leave_off(self, product_id: str, device_id: str | None, listener: Listener) -> None:
        """Let him hear no more."""
        listeners = self._listeners[product_id, device_id]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[product_id, device_id]

    def take(self, record: Record) -> None:
        """Hand a record on. One of a topic that nobody wants any more may still come."""
        place, offset = record.place, record.offset
        if place not in self.vector:
            return
        gone = self._cursor.take(place, offset)
        if gone is None:
            return
        if gone:
            self._tell_of_gap(place, offset, gone)
        if self._listeners:
            for device_id in (record.device_id, None):
                for listener in self._listeners.get((record.product_id, device_id), ()):
                    listener(record)
        positions: dict[tuple[str, ...], str] = {}
        for outbox in self._outboxes.get(record.product_id, ()):
            if record.kind not in outbox.kinds or offset < outbox.ahead.get(place, 0):
                continue
            position = self.position(outbox) if outbox.ahead else positions.get(outbox.topics)
            if position is None:
                position = positions[outbox.topics] = self.position(outbox)
            outbox.put(frames.event(record.kind, record.value, position))

    def _tell_of_gap(self, place: Place, offset: int, gone: int) -> None:
        for outbox in self.outboxes():
            missed = min(gone, offset - outbox.ahead.get(place, 0))
            if place[0] in outbox.topics and missed > 0:
                outbox.put(frames.gap(place, missed, self.position(outbox)))

    def position(self, outbox: Outbox) -> str:
        """Write where a subscriber is that has been sent all that was put."""
        vector = self.vector
        if outbox.ahead:
            outbox.ahead = {place: at for place, at in outbox.ahead.items() if at > vector[place]}
            vector = {**vector, **outbox.ahead}
        return write(outbox.topics, vector, self._partitions)


def topics_of(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the topics that hold events of these kinds."""
    wanted = {frames.TOPIC_OF[kind] for kind in kinds}
    return tuple([topic for topic in frames.TOPICS if topic in wanted])
