"""Topics, backlogs and counts for benchmarks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from libs.runtime.kafka import KEYED, client_config
from libs.runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

COMPACT = {"cleanup.policy": "compact"}
REST = 1.0
"""Seconds without a record, after which a topic is at rest."""
PATIENCE = 60.0


class Cluster:
    """The Kafka under a benchmark; every topic has ``partitions`` partitions."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.settings = KafkaSettings(bootstrap=bootstrap, partitions=partitions)
        self._admin = AdminClient(client_config(self.settings))

    def create(self, topics: Mapping[str, dict[str, str]]) -> None:
        """Create topics with their configuration."""
        new = [NewTopic(name, self.settings.partitions, 1, config=config) for name, config in topics.items()]
        for future in self._admin.create_topics(new).values():
            future.result(30)

    def drop(self, topics: Iterable[str]) -> None:
        for future in self._admin.delete_topics(list(topics)).values():
            future.result(30)

    def write(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write (key, value) pairs as fast as Kafka takes them; returns when all are stored."""
        producer = Producer(self._config(**KEYED, **{"linger.ms": 20, "batch.size": 262_144}))
        batch: list[dict[str, Any]] = []
        for key, value in records:
            batch.append({"key": key, "value": value})
            if len(batch) == 10_000:
                self._put(producer, topic, batch)
                batch = []
        self._put(producer, topic, batch)
        if producer.flush(60):
            raise TimeoutError(f"{topic} did not take its backlog")

    @staticmethod
    def _put(producer: Producer, topic: str, batch: list[dict[str, Any]]) -> None:
        while len(producer) > 50_000:
            producer.poll(0.05)
        if producer.produce_batch(topic, batch) != len(batch):
            raise BufferError(f"{topic}: the producer's queue is full")

    def counter(self, topic: str) -> Counter:
        return Counter(Consumer(self._config(**{"group.id": "bench-counter"})), topic, self.settings.partitions)

    def await_rest(self, topic: str) -> None:
        """Return when the topic takes no more records. Raises TimeoutError."""
        count, pause = self.counter(topic), threading.Event()
        try:
            before, now, deadline = -1, count(), time.monotonic() + PATIENCE
            while before != now:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic} does not come to rest")
                pause.wait(REST)
                before, now = now, count()
        finally:
            count.close()

    def read(self, topic: str) -> Iterator[Any]:
        """Every record that the topic holds now."""
        consumer = Consumer(
            self._config(**{"group.id": "bench-reader", "enable.auto.commit": False, "enable.partition.eof": True})
        )
        try:
            unread = set(range(self.settings.partitions))
            consumer.assign([TopicPartition(topic, number, 0) for number in unread])
            while unread:
                for message in consumer.consume(10_000, 0.2):
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public code
                        unread.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()

    def _config(self, **extra: Any) -> dict[str, Any]:
        return client_config(self.settings, **extra)


class Counter:
    """How many records a topic has taken."""

    def __init__(self, consumer: Consumer, topic: str, partitions: int) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]

    def __call__(self) -> int:
        """Sum the end offsets; a partition that has no leader yet counts 0."""
        return sum(end_of(self._consumer, partition) for partition in self._partitions)

    def close(self) -> None:
        self._consumer.close()


def end_of(consumer: Consumer, partition: TopicPartition) -> int:
    """Return the offset of the next record; 0 for a partition that has no leader yet."""
    try:
        return int(consumer.get_watermark_offsets(partition, timeout=10)[1])
    except KafkaException:
        return 0
