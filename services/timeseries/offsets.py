"""Marks in Kafka: reading and writing a consumer group's commits with their metadata."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicCollection, TopicPartition

from libs.runtime import logs

from .blocks import Mark, UnusableMark, mark, resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient

T = TypeVar("T")

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
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the client's own codes begin with an underscore
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
)
"""A broker that moves or is away. Not among them: everything that says that the partition is no longer ours."""


def read(consumer: Consumer, partitions: Sequence[TopicPartition]) -> Iterator[tuple[Place, Mark, int, int]]:
    """Yield (place, mark, offset to read from, records that are gone) of each partition.

    Raises KafkaException, and `UnusableMark` with the partition's name.
    """
    for found in _insist(lambda: _sound(consumer.committed(list(partitions), timeout=ANSWER_SECONDS))):
        place = (found.topic, found.partition)
        low, high = _insist(partial(consumer.get_watermark_offsets, found, timeout=ANSWER_SECONDS))
        try:
            known = None if found.offset == OFFSET_INVALID else mark(found.offset, found.metadata or "")
            yield place, *resume(known, low, high)
        except UnusableMark as error:
            raise UnusableMark(f"{found.topic}-{found.partition}: {error}") from error


def topic_ids(admin: AdminClient, topics: Iterable[str]) -> dict[str, str]:
    """Ask for the id that Kafka gave each topic when it was made. Raises KafkaException."""
    answers = admin.describe_topics(TopicCollection(sorted(topics)), request_timeout=ANSWER_SECONDS)
    return {topic: str(answer.result().topic_id) for topic, answer in answers.items()}


def write(consumer: Consumer, marks: Mapping[Place, Mark]) -> None:
    """Commit all ``marks`` in one request and wait for Kafka.

    Raises KafkaException when the group has gone on without us, or after a minute without a coordinator.
    """
    offsets = [
        TopicPartition(topic, partition, mark.offset, mark.metadata) for (topic, partition), mark in marks.items()
    ]
    _insist(lambda: _sound(consumer.commit(offsets=offsets, asynchronous=False)))


def _sound(answers: list[TopicPartition]) -> list[TopicPartition]:
    """Raise the first partition's error, if there is one."""
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return answers


def _insist(action: Callable[[], T]) -> T:
    """Repeat ``action`` while a broker moves or is away, for at most `PATIENCE_SECONDS`."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > give_up:
                raise
            log.warning("Kafka does not answer for offsets", error=str(error))
        time.sleep(RETRY_SECONDS)
