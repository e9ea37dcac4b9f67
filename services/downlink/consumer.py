"""The thread that owns a Kafka consumer: reads as much as there is room for, commits, answers the group.

Each topic has its own, in a group of its own: one group for both would count partitions and could give all of one topic
to one replica.

Assignment is cooperative: partitions that stay are not interrupted when others move. A partition that goes is released
first: nothing more of it is sent, what is under way gets `HANDOVER` seconds to be acknowledged and is committed, and
only then does the group hear that it is free. One that was lost, because Kafka gave it away without asking, is dropped
at once.

Where Kafka no longer has the next record, its client says so (``auto.offset.reset`` is ``error``), and reading goes on
at the first one that there is. A gap between two offsets says nothing: transactions of those who write leave them too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from libs.runtime import logs
from libs.topics.codec import InvalidMessage, UnknownKind

from . import metrics
from .commits import ASK, Commits
from .model import Entry, Place, Record, Refusal
from .notices import notice
from .parse import Unpublishable, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message, Producer

    from .credit import Credit
    from .model import Settled
    from .teller import Teller

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
TELL: Final = 5.0
"""Seconds that the notices of a revoked partition have to be taken by Kafka; after that, its next owner repeats
them with their messages."""
DROP: Final = 30.0
"""Seconds in which the loop must have heard that partitions are gone."""
LAG_EVERY: Final = 2.0


class Ear(Protocol):
    """Who publishes what is read. Called from the thread; each call is heard in order."""

    def take(self, entries: list[Entry]) -> None: ...
    def release(self, partitions: frozenset[Place], released: Future[None]) -> None: ...
    def drop(self, partitions: frozenset[Place], dropped: Future[None]) -> None: ...


class Reader:
    """``config``: of the consumer; ``producer``: see `Commits`."""

    def __init__(
        self, topic: str, config: dict[str, Any], producer: Callable[[], Producer], teller: Teller, credit: Credit
    ) -> None:
        self._topic, self._config, self._make_producer = topic, config, producer
        self._teller, self._credit = teller, credit
        self._ear: Ear
        self._consumer: Consumer
        self._commits: Commits
        self._settled: deque[Settled] = deque()
        self._leave = threading.Event()
        self._held: frozenset[Place] = frozenset()
        self._handover = HANDOVER
        self._coming: dict[Place, int] = {}  # the offset of the next record
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
        threading.Thread(target=self._run, name=f"reader of {self._topic}", daemon=True).start()

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
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
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
        place = Place(message.topic(), message.partition())
        self._coming[place] = message.offset() + 1
        return entry_of(message, place)

    def _read(self) -> list[Message]:
        """What is there already, or else the first record that comes. Raises KafkaException."""
        room = 0 if self._teller.is_full else self._credit.room
        if not room:
            messages = self._wait()
        else:
            self._full_since = None
            self._pause(paused=False)
            messages = self._poll(POLL)
            if messages and room > 1:
                messages += self._consumer.consume(min(room, BATCH) - 1, 0)
        return [message for message in messages if not self._is_gone(message)]

    def _is_gone(self, message: Message) -> bool:
        """Whether this is no record but the news that there is none at that offset. Raises KafkaException."""
        if (error := message.error()) is None:
            return False
        if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  (a public code)
            raise KafkaException(error)
        self._go_on(Place(message.topic(), message.partition()))
        return True

    def _go_on(self, place: Place) -> None:
        """Read on at the first record that Kafka has; those between are lost, if it has removed any. May raise."""
        first, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=ASK)
        if (gone := first - self._coming.get(place, first)) > 0:
            log.error("Kafka has removed records before they were published", **place._asdict(), offsets=gone)
            metrics.MESSAGES.labels("lost").inc(gone)
        self._coming[place] = first
        self._consumer.incremental_unassign([TopicPartition(*place)])  # the client takes no `seek` after such an error
        self._consumer.incremental_assign([TopicPartition(*place, first)])
        if self._paused:
            self._consumer.pause([TopicPartition(*place)])

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
        if self._teller.is_full:
            self._teller.flush(POLL)
        else:
            self._credit.wait(POLL)
        return messages

    def _pause(self, *, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            (self._consumer.pause if paused else self._consumer.resume)(self._consumer.assignment())
            metrics.PAUSED.labels(self._topic).set(paused)

    def _collect(self) -> None:
        while self._settled:
            step = self._settled.popleft()
            if step.place in self._held:
                self._teller.tell(step)
        for step in self._teller.told():
            self._commits.add(step)

    def _measure(self) -> None:
        for place in self._held:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            committed = self._commits.committed.get(place)
            if committed is not None:
                metrics.LAG.labels(*place).set(max(0, high - committed))

    def _answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits.answered(error, partitions)

    # -- what the group says; a callback that returns has answered the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if self._paused:
            consumer.pause(partitions)
        self.joined = True
        taken = places(partitions)
        self._held |= taken
        if taken:
            self._coming |= self._commits.begin(partitions)
            log.info("partitions_assigned", topic=self._topic, partitions=numbers(taken))

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._hand_over(places(partitions))

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = False
        lost = places(partitions)
        log.warning("partitions_lost", topic=self._topic, partitions=numbers(lost))
        self._drop(lost)

    def _hand_over(self, partitions: frozenset[Place]) -> None:
        """Wait for what is under way, commit it, forget the rest."""
        if going := partitions & self._held:
            released: Future[None] = Future()
            self._ear.release(going, released)
            in_time = bool(wait([released], self._handover).done)
            self._collect()
            self._teller.flush(TELL)
            self._collect()
            self._commits.finish()
            log.info("partitions_released", topic=self._topic, partitions=numbers(going), in_time=in_time)
            self._drop(going)

    def _drop(self, partitions: frozenset[Place]) -> None:
        """Raises TimeoutError where the loop stands still: it must not publish any more of these."""
        dropped: Future[None] = Future()
        self._ear.drop(partitions, dropped)
        dropped.result(DROP)
        self._collect()
        self._held -= partitions
        self._teller.forget(partitions)
        self._commits.forget(partitions)
        self._coming = {place: offset for place, offset in self._coming.items() if place not in partitions}
        for topic, partition in partitions:
            metrics.LAG.remove(topic, str(partition))


def places(partitions: list[TopicPartition]) -> frozenset[Place]:
    return frozenset(Place(at.topic, at.partition) for at in partitions)


def numbers(found: frozenset[Place]) -> list[int]:
    return sorted(place.partition for place in found)


def entry_of(message: Message, place: Place) -> Entry:
    """What becomes of a record; what nothing can be published of is an entry that is done."""
    value = message.value()
    record = Record(place, message.offset(), message.key(), value, message.timestamp()[1])
    try:
        return Entry(record, parse(place.topic, value))
    except UnknownKind:
        metrics.MESSAGES.labels("unknown").inc()
        return Entry(record, None)
    except (InvalidMessage, Unpublishable) as error:
        metrics.MESSAGES.labels("unpublishable").inc()
        entry = Entry(record, None, Refusal(error.reason, str(error)))
        if isinstance(error, Unpublishable) and error.receipt is not None:
            entry.notice = notice(error.receipt, entry.refusal, time.time_ns() // 1_000_000)
        return entry
