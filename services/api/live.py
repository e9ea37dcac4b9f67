"""The one reader of a process for all subscribers of the live stream.

It reads a topic from its end, and only while somebody wants it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.runtime import logs, metrics
from libs.runtime.background import Background
from libs.runtime.kafka import client_config
from libs.runtime.tail import Tail

from .fan import Fan
from .frames import record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from confluent_kafka import Message

    from libs.runtime.settings import KafkaSettings

    from .frames import Record

log = logs.get(__name__)

KAFKA_S: Final = 2.0
"""Seconds to ask Kafka once for the end of a partition."""
FOLLOW_S: Final = 5.0
"""Seconds in which a topic is to be read."""
PAUSE: Final = 0.2
"""Seconds between two attempts to begin with a topic."""

CONFIG: Final = {
    "group.id": "hub-streams",  # the client insists on one; no offset is committed
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",  # what retention took is then told as a gap
    "reconnect.backoff.max.ms": 1000,
}

SUBSCRIBERS = metrics.gauge(
    "api_stream_subscribers",
    "Subscribers of the live stream, those that catch up included, and requests that wait for a device.",
)
RECORDS = metrics.counter("api_stream_records", "Records read for the live stream, by topic.", ("topic",))


class NotFollowed(RuntimeError):
    """A topic could not be read in time: Kafka is away. It may be tried again."""


class Live(Background):
    """``fan`` is its only state that others see; it changes in the event loop alone."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__()
        self._kafka = kafka
        self.fan = Fan(kafka.partitions)
        self._demand = Counter[str]()
        self._followed = asyncio.Event()

    @asynccontextmanager
    async def following(self, topics: Collection[str]) -> AsyncIterator[None]:
        """Have topics read for as long as somebody wants them. Raises `NotFollowed`."""
        self._demand.update(topics)
        SUBSCRIBERS.inc()
        try:
            await self._begun(topics)
            yield
        finally:
            SUBSCRIBERS.dec()
            self._demand.subtract(topics)

    async def _begun(self, topics: Collection[str]) -> None:
        try:
            async with asyncio.timeout(FOLLOW_S):
                while not self.fan.follows(topics):
                    followed = self._followed
                    await followed.wait()
        except TimeoutError as error:
            raise NotFollowed(f"{', '.join(topics)} cannot be read now") from error

    async def _run(self) -> None:
        consumer = Consumer(client_config(self._kafka, **CONFIG))
        tail = Tail(consumer, "live")
        self._ready.set()
        try:
            while not self._stopping:
                try:
                    await self._adjust(consumer, tail)
                except KafkaException as error:
                    log.warning("the live stream cannot begin with a topic", error=str(error))
                    await asyncio.sleep(PAUSE)
                records, _ = await tail.read()
                for one in records:
                    self.fan.take(read(one))
        finally:
            for outbox in self.fan.outboxes():
                outbox.end("stopping", "this process of the API ends; connect again to go on from here")
            await tail.close()

    async def _adjust(self, consumer: Consumer, tail: Tail) -> None:
        """Begin with topics that somebody wants, and leave those that nobody wants any more."""
        for topic, wanted in list(self._demand.items()):
            if wanted and not self.fan.follows((topic,)):
                offsets = await tail.call(partial(_from_the_end, consumer, topic, self._kafka.partitions))
                self.fan.begin(topic, offsets)
                self._followed.set()
                self._followed = asyncio.Event()
            elif not wanted:
                del self._demand[topic]
                if self.fan.follows((topic,)):
                    self.fan.leave(topic)
                    places = [TopicPartition(topic, number) for number in range(self._kafka.partitions)]
                    await tail.call(partial(consumer.incremental_unassign, places))


def _from_the_end(consumer: Consumer, topic: str, partitions: int) -> list[int]:
    """Assign all partitions of a topic at their ends; returns these. Raises KafkaException."""
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=KAFKA_S, cached=False)[1]
        for number in range(partitions)
    ]
    consumer.incremental_assign([TopicPartition(topic, number, end) for number, end in enumerate(ends)])
    return ends


def read(message: Message) -> Record:
    """Read a record of Kafka."""
    topic = message.topic()
    RECORDS.labels(topic).inc()
    return record((topic, message.partition()), message.offset(), message.key(), message.value())
