"""The note: from which offsets on Kafka may hold records of messages that the broker will deliver again.

It is kept as committed offsets of the consumer group ``note-<client id>``, one per partition of every topic that the
bridge writes; the group's lag is the size of the next tail, visible in any monitor. Every call blocks: use a thread.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from libs.runtime import logs
from libs.runtime.offsets import offsets

from .resume import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logs.get(__name__)
Ends = dict[tuple[str, int], int]
TIMEOUT = 10.0
"""Seconds for one request to Kafka."""
BATCH = 5000
OPENING: Final = "opening"
"""In the metadata of a note: the broker lost the session, and what follows from that is not told yet."""
STALLED: Final = 30.0
"""Seconds without a record of a tail that is there, after which its reading is given up."""
_TAIL = {
    "enable.auto.commit": False,
    "enable.partition.eof": False,
    "isolation.level": "read_uncommitted",
    "fetch.max.bytes": 50_000_000,
    "max.partition.fetch.bytes": 20_000_000,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.wait.max.ms": 10,
    "fetch.queue.backoff.ms": 2,  # the default of 1 s turned tails of 0.4 s into 1.4 s
}


class Notes:
    """Reads and moves the note, and reads the tail after it.

    ``limit``: records; of a longer tail only the newest are read, and duplicates are possible.
    The lock matters: a thread goes on when its task is cancelled, and two readers would share one consumer's records.
    """

    def __init__(self, kafka: dict[str, Any], group: str, topics: Sequence[str], limit: int) -> None:
        self._consumer = Consumer({**kafka, **_TAIL, "group.id": group})
        self._admin = AdminClient(kafka)
        self._topics, self._limit, self._lock = tuple(topics), limit, threading.RLock()
        self._partitions: list[tuple[str, int]] = []
        self.opening = False
        """Whether the note that was read last is marked as `OPENING`."""

    def read(self) -> Ends | None:
        """Return the note, None when there is none yet. A partition that is not in it counts from its beginning."""
        with self._lock:
            self._partitions = self._describe()
            asked = [TopicPartition(topic, number) for topic, number in self._partitions]
            found = self._consumer.committed(asked, timeout=TIMEOUT)
        _raise_first(found)
        self.opening = any(at.metadata == OPENING for at in found)
        if all(at.offset < 0 for at in found):
            return None
        return {(at.topic, at.partition): max(0, at.offset) for at in found}

    def write(self, ends: Ends, *, opening: bool = False) -> None:
        """Move the note, and mark it as `OPENING` or not. One OffsetCommit request: all partitions or none."""
        mark = OPENING if opening else ""
        note = [TopicPartition(topic, number, offset, mark) for (topic, number), offset in ends.items()]
        with self._lock:
            done = self._consumer.commit(offsets=note, asynchronous=False)
        _raise_first(done or [])

    def ends(self) -> Ends:
        """Where each partition ends now."""
        return self._offsets(OffsetSpec.latest())

    def tail(self, quiet: float) -> Filter:
        """Fingerprint all records from the note to the end, once the end has stood still for ``quiet`` s.

        Raises KafkaException, also where Kafka has no more to give for `STALLED` s.
        """
        with self._lock:
            return self._tail(quiet)

    def close(self) -> None:
        self._consumer.close()

    def _describe(self) -> list[tuple[str, int]]:
        found = []
        for topic in self._topics:
            metadata = self._consumer.list_topics(topic, timeout=TIMEOUT).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            found += [(topic, number) for number in sorted(metadata.partitions)]
        return found

    def _offsets(self, spec: OffsetSpec) -> Ends:
        if not self._partitions:
            self._partitions = self._describe()
        return offsets(self._admin, self._partitions, spec, TIMEOUT)

    def _settled_ends(self, quiet: float, longest: float, *, clock: Callable[[], float] = time.monotonic) -> Ends:
        """Wait until requests of a killed predecessor, which may still be under way, have arrived."""
        last, since, until = self.ends(), clock(), clock() + longest
        while clock() - since < quiet and clock() < until:
            time.sleep(quiet / 5)
            if (now := self.ends()) != last:
                last, since = now, clock()
        return last

    def _tail(self, quiet: float) -> Filter:
        note = self.read() or {}
        ends, lows = self._settled_ends(quiet, 8 * quiet), self._offsets(OffsetSpec.earliest())
        began, found = time.monotonic(), Filter()
        ranges = {at: (max(lows[at], note.get(at, 0)), end) for at, end in ends.items()}
        todo = self._bounded({at: (start, end) for at, (start, end) in ranges.items() if start < end})
        self._consumer.assign([TopicPartition(*at, start) for at, (start, _) in todo.items()])
        try:
            left, read, moved = {at: end for at, (_, end) in todo.items()}, -1, began
            while left:
                found.add(_values(self._consumer.consume(BATCH, 0.2)))
                if found.size != read:
                    read, moved = found.size, time.monotonic()
                elif time.monotonic() - moved > STALLED:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the tail cannot be read"))  # noqa: SLF001
                for at in self._consumer.position([TopicPartition(*at) for at in left]):
                    if at.offset != OFFSET_BEGINNING and at.offset >= left[at.topic, at.partition]:
                        del left[at.topic, at.partition]
        finally:
            self._consumer.unassign()
        log.info("tail_read", records=found.size, seconds=round(time.monotonic() - began, 3))
        return found

    def _bounded(self, todo: dict[tuple[str, int], tuple[int, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        total = sum(end - start for start, end in todo.values())
        if total <= self._limit:
            return todo
        log.error("tail_too_long", records=total, read=self._limit, consequence="duplicates are possible")
        share = self._limit // len(todo)
        return {at: (max(start, end - share), end) for at, (start, end) in todo.items()}


def _values(messages: Sequence[Message]) -> list[bytes]:
    values = []
    for message in messages:
        if error := message.error():
            raise KafkaException(error)
        if (value := message.value()) is not None:
            values.append(value)
    return values


def _raise_first(partitions: Sequence[TopicPartition]) -> None:
    for at in partitions:
        if at.error:
            raise KafkaException(at.error)
