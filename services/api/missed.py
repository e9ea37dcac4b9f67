"""What a subscriber who resumes reads by himself, until he joins the others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import frames
from .positions import Cursor, Place, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fan import Outbox
    from .frames import Record


class Missed:
    """From a position on; every target that is given is further than the one before."""

    def __init__(self, outbox: Outbox, position: Mapping[Place, int], partitions: int) -> None:
        self._outbox, self._partitions = outbox, partitions
        self._cursor = Cursor(position)

    @property
    def vector(self) -> Mapping[Place, int]:
        return self._cursor.vector

    def left(self, target: Mapping[Place, int]) -> int:
        """Count the records up to ``target``."""
        return sum(self._cursor.behind(target).values())

    def places(self, target: Mapping[Place, int]) -> list[Place]:
        """List where records up to ``target`` are missing."""
        return list(self._cursor.behind(target))

    def begins_at(self, place: Place, offset: int, target: Mapping[Place, int]) -> bytes:
        """Take note of the oldest record that Kafka has; returns what to tell of those before it."""
        return self._skip(place, min(offset, target[place]))

    def made_anew(self, place: Place, target: Mapping[Place, int]) -> bytes:
        """Go back to ``target``: the topic is another one, since it ends before the position."""
        self._cursor.vector[place] = target[place]
        return frames.gap(place, 0, self.position())

    def take(self, record: Record, target: Mapping[Place, int]) -> bytes:
        """Return what a record says to the subscriber: nothing from ``target`` on, which he gets with all others."""
        place, offset = record.place, record.offset
        told = self.begins_at(place, offset, target)
        if offset >= target[place] or self._cursor.take(place, offset) is None:
            return told
        if record.product_id != self._outbox.product_id or record.kind not in self._outbox.kinds:
            return told
        return told + frames.event(record.kind, record.value, self.position())

    def _skip(self, place: Place, to: int) -> bytes:
        gone = to - self.vector[place]
        if gone <= 0:
            return b""
        self._cursor.vector[place] = to
        return frames.gap(place, gone, self.position())

    def position(self) -> str:
        """Write where the subscriber is."""
        return write(self._outbox.topics, self.vector, self._partitions)
