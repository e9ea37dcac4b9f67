"""Two queues that order deliveries: outputs, then changelog rows, then settle and acknowledge.

I1  An offset is committable only after every output and every row of its slice was acknowledged.
I2  A row reaches the changelog only after the outputs that explain it were acknowledged.
I4  A durable local store never runs ahead of the changelog.

(I3, a row carries the offset it is recorded up to, is `work`'s; I5, a failed delivery ends the process, `producer`'s.)

First in, first out across slices makes the changelog prefix-consistent per partition: whatever is recovered is the
state after some slice, never a later row without an earlier one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from .producer import Deliveries, LaneProducer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .part import Change, Part


class Batch:
    """One slice's deliveries. ``event`` is acknowledged with it; None: more of the same event follows.

    ``size``: bytes of its values, outputs and rows.
    """

    __slots__ = ("changed", "changelog", "event", "outputs", "part", "purge", "revision", "size")

    def __init__(
        self, event: Any | None, part: Part, revision: int, changed: list[Change], *, purge: bool = False
    ) -> None:
        self.event, self.part, self.revision, self.changed, self.purge = event, part, revision, changed, purge
        self.outputs, self.changelog = Deliveries(), Deliveries()
        self.size = 0 if purge else weight(changed)


def weight(messages: Sequence[Change]) -> int:
    """Count the bytes of the messages' values."""
    return sum([len(message["value"] or b"") for message in messages])  # a list: a third faster than a generator


class Pipeline:
    def __init__(self, changelog: str) -> None:
        self.changelog = changelog
        self.size = 0  # bytes of what is in flight
        self._sending: deque[Batch] = deque()
        self._logging: deque[Batch] = deque()

    def put(self, batch: Batch) -> None:
        """Take a batch whose outputs were handed to the producer."""
        self._sending.append(batch)
        self.size += batch.size

    def __len__(self) -> int:
        return len(self._sending) + len(self._logging)

    def advance(self, producer: LaneProducer) -> bool:
        """Move every batch whose deliveries completed; False when nothing is in flight."""
        sending, logging = self._sending, self._logging
        while sending and not sending[0].outputs.pending:
            batch = sending.popleft()
            if batch.changed:
                producer.send(self.changelog, batch.changed, batch.changelog, batch.part.number)
            logging.append(batch)
        while logging and not logging[0].changelog.pending:
            batch = logging.popleft()
            last = batch.changelog.last
            batch.part.settle(batch.changed, None if last is None else last.offset(), batch.revision, purge=batch.purge)
            self.size -= batch.size
            if batch.event is not None:
                batch.event.ack()
        return bool(sending or logging)
