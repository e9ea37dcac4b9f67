"""Idempotent librdkafka producer, polled from the event loop, so that its callbacks need no locks.

I5: a failed delivery ends the process. ``delivery.timeout.ms`` is shorter than the session timeout: what a paused
worker still has queued expires before a successor can own its partitions.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer
from mode import Service

from .fail import die, log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .app import LaneApp
    from .model import Output
    from .part import Change

MAX_MESSAGE = 2 * 1024 * 1024
"""Bytes of a produced record: what dead-letter topics allow, since a letter holds a whole record in base64."""

QUEUE = 1_000_000
"""Records that librdkafka may hold; `LaneProducer.room` keeps to half of it."""

QUEUE_KB = 1_048_576
"""And KiB of them."""

HEAVY = 64 * 1024 * 1024
"""Bytes of a worker's outputs and rows in flight beyond which nothing more is folded. The rest of the queue is for what
is folded at once: a chunk of `passage.CHUNK` events, or a slice of a sweep."""

DEFAULTS: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "batch.size": 262_144,
    "message.max.bytes": MAX_MESSAGE,
    "queue.buffering.max.messages": QUEUE,
    "queue.buffering.max.kbytes": QUEUE_KB,
}


class Deliveries:
    """Records produced together; ``pending`` reaches 0 when all were acknowledged."""

    __slots__ = ("last", "pending")

    def __init__(self) -> None:
        self.pending = 0
        self.last: Any = None  # the record acknowledged last, as librdkafka reports it

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            die("delivery to %s[%s] failed: %s", message.topic(), message.partition(), error)
        self.pending -= 1
        self.last = message


def _on_error(error: KafkaError) -> None:
    if error.fatal():
        die("producer: %s", error)
    log.warning("producer: %s", error)


class LaneProducer(Service):
    """Starts before and stops after everything that produces."""

    def __init__(self, app: LaneApp, config: Mapping[str, Any], **kwargs: Any) -> None:
        """``config`` as librdkafka takes it; it wins over `DEFAULTS`."""
        super().__init__(**kwargs)
        self.app: Any = app
        self._wake = asyncio.Event()
        self.client = Producer({**DEFAULTS, "error_cb": _on_error, **config})

    async def on_start(self) -> None:
        await self.app.check_topics()

    def say(self, outputs: Sequence[Output], deliveries: Deliveries) -> None:
        """Produce outputs, in their order; a call for each costs less than a batch, whose records are dictionaries."""
        deliveries.pending += len(outputs)
        produce, took = self.client.produce, deliveries.__call__  # a method: found once, not for each report
        topic, partition = "", -1
        try:
            for topic, key, value, partition in outputs:
                produce(topic, value, key, partition, took)
        except (BufferError, KafkaException) as error:
            die("produce to %s[%s]: %s", topic, partition, error)
        self._wake.set()

    def send(self, topic: str, messages: list[Change], deliveries: Deliveries, partition: int) -> None:
        """Produce a batch to one partition.

        The client documents a partition of each message's own, and ignores it (confluent-kafka 2.16.1, its pull request
        2069).
        """
        deliveries.pending += len(messages)
        if self.client.produce_batch(topic, messages, partition=partition, on_delivery=deliveries) != len(messages):
            refused = next(message["_error"] for message in messages if "_error" in message)
            die("produce to %s[%s]: %s", topic, partition, refused)
        self._wake.set()

    def poll(self) -> bool:
        """Take delivery reports and move the lanes' pipelines on; False when nothing is in flight."""
        self.client.poll(0)
        in_flight = [lane.advance() for lane in self.app.lanes.values()]  # every lane moves on
        return any(in_flight)

    async def room(self, limit: int = QUEUE // 2) -> None:
        """Wait until at most ``limit`` records are queued, and not more than `HEAVY` bytes are in flight."""
        while len(self.client) > limit or self.heavy():
            self.poll()
            await asyncio.sleep(0.001)

    def heavy(self) -> bool:
        """Tell that enough bytes are in flight."""
        size = 0
        for lane in self.app.lanes.values():
            size += lane.pipeline.size
        return size > HEAVY

    async def drain(self) -> None:
        """Wait until nothing is in flight."""
        while self.poll():  # noqa: ASYNC110 - as in `room`
            await asyncio.sleep(0.001)

    @Service.task
    async def _pump(self) -> None:
        limit, last = self.app.conf.broker_session_timeout * 0.8, time.monotonic()
        while True:  # until cancelled, not until `should_stop`: stopping waits for deliveries
            now = time.monotonic()
            if now - last > limit:
                die("the process stalled for %.1f s, longer than its session allows", now - last)
            last = now
            if self.poll():
                await asyncio.sleep(0.001)
                continue
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), 1.0)
            except TimeoutError:
                continue
