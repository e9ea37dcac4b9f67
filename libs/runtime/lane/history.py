"""Reads a range of a topic from Kafka, slice by slice: the edge of `replay` and `compare`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from libs.runtime.kafka import client_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

    from libs.runtime.settings import KafkaSettings

TIMEOUT = 20.0
"""Seconds to wait for an answer of the brokers, or for the next record."""
PATIENCE = 0.2
"""Seconds to wait for a whole slice."""
SLICE = 1000
"""Records at once; the last of a partition come as soon as they are there."""


class Entry(NamedTuple):
    """A record; ``timestamp`` in Unix milliseconds."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int


class Gone(LookupError):
    """The range begins before the log does: retention took records, and no replay can know what they were."""


def read(
    kafka: KafkaSettings, topic: str, first: int | Mapping[int, int] | None = None
) -> Iterator[tuple[int, list[Entry]]]:
    """Yield ``(partition, entries)`` up to the end that the topic has now; partitions interleave, each is in order.

    ``first``: offset to begin with, of every partition or by partition (others are left out then); None: whatever the
    topic begins with. Raises `Gone`, and `confluent_kafka.KafkaException` where the brokers refuse or are silent.
    """
    config = client_config(kafka, **{"group.id": f"replay-{uuid.uuid4()}", "enable.auto.commit": False})
    consumer = Consumer(config | {"enable.partition.eof": True, "auto.offset.reset": "error"})
    try:
        starts, left = _range(consumer, topic, first)
        consumer.assign([TopicPartition(topic, number, starts[number]) for number in left])
        silence = 0.0
        while left:
            messages = consumer.consume(SLICE, timeout=PATIENCE)
            silence = 0.0 if messages else silence + PATIENCE
            if silence > TIMEOUT:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record of {topic} came"))  # noqa: SLF001 - its public name
            yield from _sorted(messages, left).items()
    finally:
        consumer.close()


def _range(
    consumer: Consumer, topic: str, first: int | Mapping[int, int] | None
) -> tuple[dict[int, int], dict[int, int]]:
    """First offset and end by partition; of the ends, only those with something to read. Raises `Gone`."""
    known = consumer.list_topics(topic, timeout=TIMEOUT).topics[topic]
    if known.error is not None:
        raise KafkaException(known.error)
    wanted = dict.fromkeys(known.partitions, first) if first is None or isinstance(first, int) else dict(first)
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for number, offset in wanted.items():
        low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT)
        starts[number] = low if offset is None else offset
        if starts[number] < low:
            raise Gone(f"{topic}-{number} begins at {low}, its records from {starts[number]} on are gone")
        if starts[number] < end:
            ends[number] = end
    return starts, ends


def _sorted(messages: Sequence[Message], left: dict[int, int]) -> dict[int, list[Entry]]:
    """Put messages to their partitions; those that came to their end leave ``left``."""
    found: dict[int, list[Entry]] = {}
    for message in messages:
        error, number = message.error(), message.partition()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            raise KafkaException(error)
        if number not in left:
            continue  # came after the end was asked for
        if error is None and message.offset() < left[number]:
            found.setdefault(number, []).append(_entry(message))
        if error is not None or message.offset() >= left[number] - 1:
            del left[number]
    return found


def _entry(message: Message) -> Entry:
    return Entry(message.key(), message.value(), message.offset(), message.timestamp()[1])
