"""Marks in Kafka: reading and writing a consumer group's commits with their metadata."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from libs.runtime import logs

from .blocks import Mark, UnusableMark, mark, resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer

log = logs.get(__name__)

ANSWER_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.2

Place: TypeAlias = tuple[str, int]
"""(topic, partition)."""

_PASSING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the client's own codes begin with an underscore
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
)
"""A coordinator that moves or is away. Not among them: everything that says that the partition is no longer ours."""


def read(consumer: Consumer, partitions: Sequence[TopicPartition]) -> Iterator[tuple[Place, Mark, int, int]]:
    """Yield (place, mark, offset to read from, records that are gone) of each partition.

    Raises KafkaException, and `UnusableMark` with the partition's name.
    """
    for found in consumer.committed(list(partitions), timeout=ANSWER_SECONDS):
        if found.error is not None:
            raise KafkaException(found.error)
        low, high = consumer.get_watermark_offsets(found, timeout=ANSWER_SECONDS)
        place = (found.topic, found.partition)
        try:
            known = None if found.offset == OFFSET_INVALID else mark(found.offset, found.metadata or "")
            yield place, *resume(known, low, high)
        except UnusableMark as error:
            raise UnusableMark(f"{found.topic}-{found.partition}: {error}") from error


def write(consumer: Consumer, marks: Mapping[Place, Mark], clock: Callable[[], float] = time.monotonic) -> None:
    """Commit all ``marks`` in one request and wait for Kafka; outages of the coordinator are waited for.

    Raises KafkaException when the group has gone on without us, or after a minute.
    """
    offsets = [
        TopicPartition(topic, partition, mark.offset, mark.metadata) for (topic, partition), mark in marks.items()
    ]
    give_up = clock() + PATIENCE_SECONDS
    while True:
        error = _commit(consumer, offsets)
        if error is None:
            return
        if error.code() not in _PASSING or clock() > give_up:
            raise KafkaException(error)
        log.warning("Kafka does not take the commit", error=str(error))
        time.sleep(RETRY_SECONDS)


def _commit(consumer: Consumer, offsets: list[TopicPartition]) -> KafkaError | None:
    try:
        results = consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        return error.args[0]
    return next((result.error for result in results if result.error is not None), None)
