"""One partition on its way into ClickHouse. Pure: the consumer does what `Partition` says, in the order of `blocks`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from .blocks import Block, Bounds, Mark, Plan

if TYPE_CHECKING:
    from .records import Record, Rows


class Partition:
    """What is committed of a partition, its closed blocks in order, and the open one.

    ``topic_id``: what Kafka called the topic when it was made; ``start``: where `blocks.resume` goes on; ``rows``
    makes the rows of a block.
    """

    def __init__(
        self, topic: str, number: int, *, topic_id: str, start: Mark, bounds: Bounds, rows: type[Rows[Any]]
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.number = number
        self.committed = start
        self.replaying = start.promised is not None
        """Whether a block that an earlier reader promised is still to be stored."""
        self.closed: deque[Block] = deque()
        self._bounds = bounds
        self._make = rows
        self._until = start.promised.last if start.promised else None
        self._first = start.offset
        self._last: int | None = None
        """Last offset of the open block, None where it is empty."""
        self._opened_at = 0.0
        self._rows = rows(topic, number)

    @property
    def bytes(self) -> int:
        """How many bytes of records are held."""
        return self._rows.bytes + sum(block.rows.bytes for block in self.closed)

    def add(self, record: Record, now: float) -> None:
        """Take the next record; ``now``: seconds of a clock that only goes forward."""
        offset = record.offset()
        if self._until is not None and offset > self._until:
            self._close(self._until)  # the promised last record itself is gone
        rows = self._rows
        if self._last is None:
            self._opened_at = now
        rows.add(record)
        self._last = offset
        if self._until is not None:
            if offset == self._until:
                self._close(offset)
        elif rows.size >= self._bounds.rows or rows.bytes >= self._bounds.bytes:
            self._close(offset)

    def close_if_due(self, now: float) -> None:
        """Close the open block where it is old enough; one that is replayed has its own end."""
        if self._last is not None and self._until is None and now - self._opened_at >= self._bounds.seconds:
            self._close(self._last)

    def promise(self) -> Mark | None:
        """Return what must be committed before the first closed block may be sent; None where it already is."""
        plan = self.closed[0].plan
        return None if self.committed.promised == plan else Mark(self.committed.offset, plan)

    def settle(self) -> Mark:
        """Return what to commit once the first closed block is stored; it promises the one behind it."""
        behind = self.closed[1].plan if len(self.closed) > 1 else None
        return Mark(self.closed[0].plan.last + 1, behind)

    def record(self, mark: Mark) -> None:
        """Take note of a commit that has succeeded."""
        self.committed = mark
        if self.closed and self.closed[0].plan.last < mark.offset:
            self.closed.popleft()
            self.replaying = False

    def _close(self, last: int) -> None:
        self.closed.append(Block(self.topic, self.topic_id, self.number, Plan(self._first, last), self._rows))
        self._until = self._last = None
        self._first = last + 1
        self._rows = self._make(self.topic, self.number)
