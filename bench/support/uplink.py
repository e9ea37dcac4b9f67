"""What devices are made to send in the benchmarks of ingest, and what of it Kafka holds."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from libs.runtime.kafka import QUIET
from libs.topics import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

DEVICES = 1_000
PAYLOAD = 200
"""Bytes."""
TIMEOUT = 120.0
"""Seconds for one backlog."""
POLL = 0.02


class Uploaded(msgspec.Struct):
    """What the check reads of a `DataUploaded`."""

    product_id: str
    device_id: str
    payload: dict[str, Any]


class Faults(msgspec.Struct, frozen=True):
    lost: int
    duplicated: int
    reordered: int


def messages(product: str, count: int) -> Iterator[tuple[str, bytes]]:
    """(topic, payload) of `DEVICES` devices in turn; each device's payloads count from 0."""
    for number in range(count):
        payload = b'{"n":%d,"pad":"' % (number // DEVICES)
        yield f"upload_data/{product}/d{number % DEVICES}/t/m{number}", payload.ljust(PAYLOAD - 2, b"x") + b'"}'


class Stored:
    """The telemetry topic, as Kafka has it."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._admin = AdminClient({"bootstrap.servers": kafka, **QUIET})
        numbers = self._admin.list_topics(names.DEVICE_TELEMETRY, timeout=10).topics[names.DEVICE_TELEMETRY].partitions
        self._asked = {TopicPartition(names.DEVICE_TELEMETRY, number): OffsetSpec.latest() for number in numbers}

    def ends(self) -> dict[int, int]:
        answers = self._admin.list_offsets(self._asked, request_timeout=10)
        return {at.partition: answer.result().offset for at, answer in answers.items()}

    def total(self) -> int:
        return sum(self.ends().values())

    def wait(self, total: int, seconds: float = TIMEOUT, also: Callable[[], object] = lambda: None) -> float:
        """Seconds until the topic holds ``total`` records; ``also`` is called all the while. Raises TimeoutError."""
        began, pause = time.perf_counter(), threading.Event()
        while (found := self.total()) < total:
            also()
            if time.perf_counter() - began > seconds:
                raise TimeoutError(f"{total - found} of the records are not stored within {seconds:g} s")
            pause.wait(POLL)
        return time.perf_counter() - began

    def since(self, start: dict[int, int]) -> Iterator[Message]:
        """Every record from the offsets ``start`` to the end."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": "bench",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            consumer.assign([TopicPartition(names.DEVICE_TELEMETRY, number, at) for number, at in start.items()])
            unread = set(start)
            while unread:
                for message in consumer.consume(5000, 0.2):
                    if message.error() is None:
                        yield message
                    elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - public in librdkafka
                        unread.discard(message.partition())
        finally:
            consumer.close()

    def faults(self, start: dict[int, int], product: str, count: int) -> Faults:
        """What is wrong with ``count`` `messages` of a product that were written since ``start``."""
        seen: dict[str, list[int]] = {}
        for record in self.since(start):
            message = msgspec.json.decode(record.value(), type=Uploaded)
            if message.product_id == product:
                seen.setdefault(message.device_id, []).append(message.payload["n"])
        return faults_of(seen, count)


def faults_of(seen: dict[str, list[int]], count: int) -> Faults:
    """``seen``: each device's numbers in the order of the log; ``count``: how many there should be in all."""
    different = sum(len(set(numbers)) for numbers in seen.values())
    total = sum(map(len, seen.values()))
    return Faults(
        lost=count - different,
        duplicated=total - different,
        reordered=sum(b < a for numbers in seen.values() for a, b in itertools.pairwise(numbers)),
    )
