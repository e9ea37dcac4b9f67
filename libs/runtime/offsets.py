"""Where partitions begin and end, as an admin client asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import KafkaException, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import OffsetSpec

Place: TypeAlias = tuple[str, int]
"""(topic, partition)."""


def offsets(admin: Any, places: Iterable[Place], spec: OffsetSpec, timeout: float) -> dict[Place, int]:
    """Ask the partitions' leaders; ``timeout``: seconds for one answer. Raises `confluent_kafka.KafkaException`.

    librdkafka keeps on asking with the leader epoch that it once heard of (2.16; its issue 4620 is the consumer's form
    of it): after a broker was killed, an admin client would be refused for ever. Hence new metadata, and once more.
    """
    asked = {TopicPartition(*place): spec for place in places}
    try:
        return _ask(admin, asked, timeout)
    except KafkaException:
        admin.list_topics(timeout=timeout)
        return _ask(admin, asked, timeout)


def _ask(admin: Any, asked: dict[TopicPartition, OffsetSpec], timeout: float) -> dict[Place, int]:
    answers = admin.list_offsets(asked, request_timeout=timeout)
    return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}
