"""Kafka to ClickHouse, exactly once: the loop that does what `blocks` promises.

One thread owns the Kafka consumer. It reads records into each partition's open block, commits, and hands closed blocks
to a few threads, each of which waits for ClickHouse; per partition one block is under way at a time. So an insert never
keeps the loop from polling: while ClickHouse is away, blocks fill up to ``buffer_bytes``, then partitions are paused,
and the process stays in its group.

Rebalancing is eager: any change of the group takes all partitions back before it gives them out again. A cooperative
one would move fewer, but a partition that stays would commit while the group is between two generations, where Kafka
refuses commits that are perfectly right; a refused commit would then no longer mean what it means here, that the
partition has another owner and this process must stop. The price is small, since partitions move only when replicas
come and go: blocks under way are waited for, open ones are read again by the next owner.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicPartition

from libs.runtime import logs
from libs.runtime.health import Progress, Verdict

from . import metrics, offsets
from .partition import Partition
from .rows import MAKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer, Message
    from confluent_kafka.admin import AdminClient

    from .blocks import Block, Bounds, Mark
    from .offsets import Place
    from .store import Store

log = logs.get(__name__)

BATCH: Final = 5_000
"""Records of one read."""
TURN_SECONDS: Final = 0.05
"""How long a read waits for its batch to fill; so often are blocks closed, sent and settled while there is little."""
PAUSE_AFTER: Final = 2.0
"""Seconds with a full buffer after which partitions are paused. Less is waited out, since a pause throws away what the
client has fetched ahead."""
HANDOVER_SECONDS: Final = 10.0
"""How long a partition that is taken away waits for its block; after that, the next owner repeats it."""
LAG_SECONDS: Final = 2.0
STUCK_SECONDS: Final = 120.0


class Sink:
    """Reads until `stop`; what it raises means that the process must end, and that the next start goes on rightly."""

    def __init__(
        self,
        consumer: Consumer,
        admin: AdminClient,
        store: Store,
        *,
        bounds: Bounds,
        buffer_bytes: int,
        inserters: int,
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._store = store
        self._bounds = bounds
        self._buffer_bytes = buffer_bytes
        self._pool = ThreadPoolExecutor(inserters, thread_name_prefix="insert")
        self._partitions: dict[Place, Partition] = {}
        self._flights: dict[Place, Future[None]] = {}
        self._abandon = threading.Event()
        """Tells the threads to give up the blocks of the present assignment."""
        self._stopping = threading.Event()
        self._assigned = False
        self._paused = False
        self._full_since: float | None = None
        self._measured_at = 0.0
        self._settled = 0
        self._alive = Verdict(ok=True)
        self._progress = Progress(STUCK_SECONDS)
        self._turned_at = time.monotonic()

    def stop(self) -> None:
        """End `run` soon; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until `stop`, then wait for the blocks under way.

        Raises KafkaException when Kafka refuses a commit or a topic, `blocks.UnusableMark`, and what `Store.put`
        raises about a block that cannot be stored.
        """
        self._consumer.subscribe(sorted(MAKERS), on_assign=self._take, on_revoke=self._hand_over, on_lost=self._lose)
        try:
            while not self._stopping.is_set():
                self._turn(time.monotonic())
            self._hand_over(self._consumer, [])
            self._consumer.close()
        finally:
            self._abandon.set()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def live(self) -> Verdict:
        """Alive: the loop turns, and blocks are settled while there is lag. Waiting for ClickHouse is no fault."""
        if time.monotonic() - self._turned_at > STUCK_SECONDS:
            return Verdict(ok=False, reason="the loop stands still")
        return self._alive

    def ready(self) -> Verdict:
        """Ready: partitions assigned, what was promised for them stored, ClickHouse there."""
        if not self._assigned:
            return Verdict(ok=False, reason="no partitions assigned yet")
        if self._store.outage:
            return Verdict(ok=False, reason=f"ClickHouse: {self._store.outage}")
        replaying = sum(partition.replaying for partition in tuple(self._partitions.values()))
        return Verdict(ok=not replaying, reason=f"replaying {replaying} blocks" if replaying else "")

    def _turn(self, now: float) -> None:
        self._turned_at = now
        for record in self._read(now):
            self._partitions[record.topic(), record.partition()].add(record, now)
        for place, partition in self._partitions.items():
            # Behind a block that is under way the next one grows: a slow ClickHouse gets fewer and larger ones.
            flight = self._flights.get(place)
            if flight is None or flight.done():
                partition.close_if_due(now)
        self._settle()
        if now - self._measured_at >= LAG_SECONDS:
            self._measured_at = now
            self._measure(now)

    def _read(self, now: float) -> Sequence[Message]:
        """Read the next records; none while the buffer is full, but Kafka still sees us."""
        if sum(partition.bytes for partition in self._partitions.values()) < self._buffer_bytes:
            self._full_since = None
            if self._paused:
                self._consumer.resume(self._consumer.assignment())
                self._paused = False
                metrics.PAUSED.set(0)
        else:
            self._full_since = self._full_since or now
            if now - self._full_since < PAUSE_AFTER:
                wait(self._flights.values(), TURN_SECONDS, FIRST_COMPLETED)
                return ()
            if not self._paused:
                self._consumer.pause(self._consumer.assignment())
                self._paused = True
                metrics.PAUSED.set(len(self._partitions))
        records: list[Message] = self._consumer.consume(BATCH, TURN_SECONDS)
        for record in records:
            error = record.error()
            if error is not None:
                raise KafkaException(error)
        return records

    def _settle(self) -> None:
        """Commit what is stored and what comes next, in one request, then send what comes next."""
        marks: dict[Place, Mark] = {}
        for place, partition in self._partitions.items():
            flight = self._flights.get(place)
            if flight is None and partition.closed:
                mark = partition.promise()
                if mark is not None:
                    marks[place] = mark
            elif flight is not None and flight.done():
                flight.result()  # raises what must stop us
                marks[place] = partition.settle()
        self._commit(marks)
        for place, partition in self._partitions.items():
            if place not in self._flights and partition.closed and partition.promise() is None:
                self._flights[place] = self._pool.submit(self._store.put, partition.closed[0], self._abandon)

    def _commit(self, marks: dict[Place, Mark]) -> None:
        if not marks:
            return
        offsets.write(self._consumer, marks)
        for place, mark in marks.items():
            partition = self._partitions[place]
            if place in self._flights:
                del self._flights[place]
                self._count(partition.closed[0], replayed=partition.replaying)
            partition.record(mark)

    def _count(self, block: Block, *, replayed: bool) -> None:
        rows, topic = block.rows, block.topic
        self._settled += 1
        metrics.BLOCKS.labels(topic).inc()
        if replayed:
            metrics.REPLAYS.labels(topic).inc()
        metrics.EVENTS.labels(topic, "stored").inc(len(rows.events))
        metrics.EVENTS.labels(topic, "dead_letter").inc(len(rows.dead_letters))
        metrics.EVENTS.labels(topic, "unknown").inc(rows.unknown)
        for reason, number in rows.left_out.items():
            metrics.LEFT_OUT.labels(reason).inc(number)
        for reason, number in rows.clocks.items():
            metrics.CLOCKS.labels(reason).inc(number)

    def _measure(self, now: float) -> None:
        total = 0
        for (topic, number), partition in self._partitions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            lag = max(0, high - partition.committed.offset)
            metrics.LAG.labels(topic, number).set(lag)
            total += lag
        moving = self._progress.observe(0 if self._store.outage else total, self._settled, now)
        self._alive = Verdict(ok=moving, reason="" if moving else f"no block in {STUCK_SECONDS} s with lag {total}")

    def _take(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin with a new assignment where the last owner's commits say."""
        self._forget()
        ids = offsets.topic_ids(self._admin, {place.topic for place in partitions}) if partitions else {}
        starts = []
        for place, mark, position, gone in offsets.read(consumer, partitions) if partitions else ():
            topic, number = place
            if gone:
                log.error("Kafka has removed records before they were stored", place=place, records=gone)
                metrics.EVENTS.labels(topic, "lost").inc(gone)
            self._partitions[place] = Partition(
                topic, number, topic_id=ids[topic], start=mark, bounds=self._bounds, rows=MAKERS[topic]
            )
            starts.append(TopicPartition(topic, number, position))
        consumer.assign(starts)
        self._assigned = True
        replays = [f"{t}-{n}" for (t, n), partition in self._partitions.items() if partition.replaying]
        log.info("partitions assigned", partitions=len(starts), replays=replays)

    def _hand_over(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Settle the blocks under way as far as they end in time; the next owner repeats the others."""
        wait(self._flights.values(), HANDOVER_SECONDS)
        marks: dict[Place, Mark] = {}
        for place, flight in self._flights.items():
            if flight.done():
                flight.result()
                marks[place] = self._partitions[place].settle()
        try:
            self._commit(marks)
        except KafkaException as error:
            # Too late: the partitions may have another owner, who finds the promises and repeats these blocks.
            log.warning("blocks are left to the next owner", error=str(error), blocks=len(marks))
        self._forget()

    def _lose(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        log.warning("partitions lost", blocks=len(self._flights))
        self._forget()

    def _forget(self) -> None:
        self._abandon.set()
        self._abandon = threading.Event()
        for topic, number in self._partitions:
            metrics.LAG.remove(topic, number)
        self._partitions.clear()
        self._flights.clear()
        self._assigned = self._paused = False
        metrics.PAUSED.set(0)
        self._full_since = None
