"""The thread that owns the Kafka consumer: reads as much as there is room for, commits, answers the group.

Assignment is cooperative: partitions that stay are not interrupted when others move. A partition that goes is released
first: nothing more of it is sent, what is under way gets `HANDOVER` seconds to be acknowledged and is committed, and
only then does the group hear that it is free. One that was lost, because Kafka gave it away without asking, is dropped
at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.runtime import logs
from libs.topics.codec import InvalidMessage, UnknownKind
from libs.topics.names import DOWNLINK_MESSAGES

from . import metrics
from .commits import Commits
from .model import Entry, Record, Refusal
from .parse import Unpublishable, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import KafkaError, Message, Producer

    from .credit import Credit
    from .model import Settled

log = logs.get(__name__)

POLL: Final = 0.05
"""Seconds of one wait for a record; so often are commits looked after while none comes."""
BATCH: Final = 500
"""Records that are handed over together at most, so that publishing begins while the next ones are read."""
PAUSE_AFTER: Final = 2.0
"""Seconds without room after which partitions are paused. Less is waited out, since a pause throws away what the client
has fetched ahead."""
HANDOVER: Final = 5.0
"""Seconds that what is under way of a revoked partition has to be acknowledged; after that, its next owner repeats
it."""
DROP: Final = 30.0
"""Seconds in which the loop must have heard that partitions are gone."""
LAG_EVERY: Final = 2.0


class Ear(Protocol):
    """Who publishes what is read. Called from the thread; each call is heard in order."""

    def take(self, entries: list[Entry]) -> None: ...
    def release(self, partitions: frozenset[int], released: Future[None]) -> None: ...
    def drop(self, partitions: frozenset[int], dropped: Future[None]) -> None: ...


class Reader:
    """``config``: of the consumer; ``producer``: see `Commits`."""

    def __init__(self, config: dict[str, Any], producer: Callable[[], Producer], credit: Credit) -> None:
        self._config, self._make_producer, self._credit = config, producer, credit
        self._ear: Ear
        self._consumer: Consumer
        self._commits: Commits
        self._settled: deque[Settled] = deque()
        self._leave = threading.Event()
        self._held: frozenset[int] = frozenset()
        self._handover = HANDOVER
        self._coming: dict[int, int] = {}  # by partition, the offset of its next record
        self._full_since: float | None = None
        self._paused = False
        self._measured = 0.0
        self.joined = False
        """Whether the group has a place for this replica, be it without a partition."""
        self.beat = time.monotonic()
        """When the thread last had its turn."""
        self.ended: Future[None] = Future()
        """Resolved when the group is left; holds what the thread failed with."""

    def start(self, ear: Ear) -> None:
        self._ear = ear
        threading.Thread(target=self._run, name="reader", daemon=True).start()

    def settled(self, step: Settled) -> None:
        """From any thread: a partition is done up to there."""
        self._credit.give_back(step.count, step.size)
        self._settled.append(step)

    def leave(self, patience: float) -> None:
        """Release every partition, within ``patience`` seconds, and leave the group. Does not wait."""
        self._handover = patience
        self._leave.set()

    # -- in the thread

    def _run(self) -> None:
        try:
            self._consume()
        except BaseException as error:  # noqa: BLE001  (ends the process, by whoever waits)
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _consume(self) -> None:
        self._consumer = Consumer(self._config | {"on_commit": self._answered})
        self._commits = Commits(self._consumer, self._make_producer)
        try:
            self._consumer.subscribe(
                [DOWNLINK_MESSAGES], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not self._leave.is_set():
                self._turn()
            self._hand_over(self._held)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        self.beat = time.monotonic()
        messages = self._read()
        if messages:
            entries = [self._entry(message) for message in messages]
            self._credit.take(len(entries), sum(entry.size for entry in entries))
            self._ear.take(entries)
        self._collect()
        self._commits.flush()
        if self.beat - self._measured >= LAG_EVERY:
            self._measured = self.beat
            self._measure()

    def _entry(self, message: Message) -> Entry:
        partition, offset = message.partition(), message.offset()
        if gone := max(0, offset - self._coming.get(partition, offset)):
            log.error("Kafka has removed records before they were published", partition=partition, records=gone)
            metrics.MESSAGES.labels("lost").inc(gone)
        self._coming[partition] = offset + 1
        return entry_of(message)

    def _read(self) -> list[Message]:
        """What is there already, or else the first record that comes. Raises KafkaException."""
        room = self._credit.room
        if not room:
            messages = self._wait()
        else:
            self._full_since = None
            self._pause(paused=False)
            messages = self._poll(POLL)
            if messages and room > 1:
                messages += self._consumer.consume(min(room, BATCH) - 1, 0)
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
        return messages

    def _poll(self, seconds: float) -> list[Message]:
        """Also where the group and Kafka's client are heard."""
        message = self._consumer.poll(seconds)
        return [] if message is None else [message]

    def _wait(self) -> list[Message]:
        """Wait for room, but not long: the group must still hear of us."""
        self._full_since = self._full_since or self.beat
        if self.beat - self._full_since > PAUSE_AFTER:
            self._pause(paused=True)
            messages = self._poll(0)
        else:
            messages = []
        self._credit.wait(POLL)
        return messages

    def _pause(self, *, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            (self._consumer.pause if paused else self._consumer.resume)(self._consumer.assignment())
            metrics.PAUSED.set(paused)

    def _collect(self) -> None:
        while self._settled:
            step = self._settled.popleft()
            if step.partition in self._held:
                self._commits.add(step)

    def _measure(self) -> None:
        for partition in self._held:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(DOWNLINK_MESSAGES, partition), cached=True)
            committed = self._commits.committed.get(partition)
            if committed is not None:
                metrics.LAG.labels(partition).set(max(0, high - committed))

    def _answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits.answered(error, partitions)

    # -- what the group says; a callback that returns has answered the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if self._paused:
            consumer.pause(partitions)
        self.joined = True
        taken = numbers(partitions)
        self._held |= taken
        if taken:
            self._coming |= self._commits.begin(partitions)
            log.info("partitions_assigned", partitions=sorted(taken))

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._hand_over(numbers(partitions))

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = False
        lost = numbers(partitions)
        log.warning("partitions_lost", partitions=sorted(lost))
        self._drop(lost)

    def _hand_over(self, partitions: frozenset[int]) -> None:
        """Wait for what is under way, commit it, forget the rest."""
        if going := partitions & self._held:
            released: Future[None] = Future()
            self._ear.release(going, released)
            in_time = bool(wait([released], self._handover).done)
            self._collect()
            self._commits.finish()
            log.info("partitions_released", partitions=sorted(going), in_time=in_time)
            self._drop(going)

    def _drop(self, partitions: frozenset[int]) -> None:
        """Raises TimeoutError where the loop stands still: it must not publish any more of these."""
        dropped: Future[None] = Future()
        self._ear.drop(partitions, dropped)
        dropped.result(DROP)
        self._collect()
        self._held -= partitions
        self._commits.forget(partitions)
        self._coming = {number: offset for number, offset in self._coming.items() if number not in partitions}
        for partition in partitions:
            metrics.LAG.remove(str(partition))


def numbers(partitions: list[TopicPartition]) -> frozenset[int]:
    return frozenset(at.partition for at in partitions)


def entry_of(message: Message) -> Entry:
    """What becomes of a record; what nothing can be published of is an entry that is done."""
    value = message.value()
    record = Record(message.partition(), message.offset(), message.key(), value, message.timestamp()[1])
    try:
        return Entry(record, parse(value))
    except UnknownKind:
        outcome, refusal = "unknown", None
    except (InvalidMessage, Unpublishable) as error:
        outcome, refusal = "unpublishable", Refusal(error.reason, str(error))
    metrics.MESSAGES.labels(outcome).inc()
    return Entry(record, None, refusal)
