"""Kafka in tests: write records, read a topic from its beginning."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Record(msgspec.Struct, frozen=True):
    """One Kafka record; ``timestamp`` in Unix milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int

    @property
    def message(self) -> dict[str, Any]:
        """The value as JSON object."""
        assert self.value is not None
        decoded: dict[str, Any] = msgspec.json.decode(self.value)
        return decoded


def produce(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Write (key, value) pairs with the hub's partitioner; returns when all are stored."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True, "linger.ms": 1}
    )
    for key, value in records:
        producer.produce(topic, key=key, value=value, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0, f"{topic} took not all records within 30 s"
    assert not failures, f"{topic} refused records: {failures[:3]}"


def read_all(bootstrap: str, topic: str, *, key: bytes | None = None) -> list[Record]:
    """Every record that the topic holds now, in order per partition; ``key``: only those with it."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=10).topics[topic]
        if known.error is not None:
            raise KafkaException(known.error)
        partitions = known.partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        unread, found = set(partitions), list[Record]()
        while unread:
            for message in consumer.consume(1000, timeout=0.1):  # waits so long for the whole thousand
                error = message.error()
                if error is None:
                    found.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return [record for record in found if key is None or record.key == key]


def await_records(
    bootstrap: str, topic: str, count: int, *, key: bytes | None = None, timeout: float = 30.0
) -> list[Record]:
    """The records of the topic (with ``key``) once there are at least ``count``."""

    def enough() -> list[Record] | None:
        found = read_all(bootstrap, topic, key=key)
        assert len(found) >= count, f"{len(found)} of {count} records"
        return found

    return eventually(enough, timeout, describe=f"{count} records in {topic}") or []


def create_topic(bootstrap: str, name: str, *, partitions: int = 1, config: dict[str, str] | None = None) -> None:
    """A topic of a test's own."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1, config=config or {})])[name].result(timeout=30)
    known: Callable[[], bool] = lambda: admin.list_topics(name, timeout=10).topics[name].error is None  # noqa: E731
    eventually(known, describe=f"topic {name}")


def forget(bootstrap: str, topic: str) -> None:
    """Delete all records of a topic: for a test that put into a shared one what the hub itself never writes."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    for deleted in admin.delete_records([TopicPartition(topic, number, OFFSET_END) for number in partitions]).values():
        deleted.result(timeout=30)


def _record(message: Message) -> Record:
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        timestamp=message.timestamp()[1],
    )
