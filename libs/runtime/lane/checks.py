"""What is asked of Kafka besides records: start-up checks, so that what would break a lane later is refused now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .lane import Lane

TIMEOUT = 20.0
"""Seconds to wait for the brokers."""


def partition_counts(client: AdminClient) -> dict[str, int]:
    """Count the partitions of every topic. Raises `confluent_kafka.KafkaException`."""
    topics = client.list_topics(timeout=TIMEOUT).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def cleanup_policy(client: AdminClient, topic: str) -> str:
    """Read a topic's ``cleanup.policy``. Raises `confluent_kafka.KafkaException`."""
    futures = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
    config: Mapping[str, Any] = next(iter(futures.values())).result(TIMEOUT)
    return str(config["cleanup.policy"].value)


def topic_id(client: AdminClient, topic: str) -> str:
    """Ask for the id that Kafka gave a topic when it was created. Raises `confluent_kafka.KafkaException`."""
    futures = client.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT)
    return str(futures[topic].result(TIMEOUT).topic_id)


def beginnings(client: AdminClient, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Ask for the first offsets that there are, by topic and partition. Raises `confluent_kafka.KafkaException`."""
    asked = {TopicPartition(*one): OffsetSpec.earliest() for one in partitions}
    futures = client.list_offsets(asked, request_timeout=TIMEOUT)
    return {(one.topic, one.partition): future.result(TIMEOUT).offset for one, future in futures.items()}


def problems(lane: Lane, partitions: int, counts: Mapping[str, int], policy: str | None) -> list[str]:
    """Everything wrong with a lane's topics, in words an operator can act on. ``policy``: the changelog's clean-up."""
    found = []
    changelog = lane.table.changelog_name
    for role, topic in (("inbox", lane.inbox), ("changelog", changelog)):
        have = counts.get(topic)
        if have is None:
            found.append(f"{role} {topic} does not exist; create it with {partitions} partitions")
        elif have != partitions:
            found.append(f"{role} {topic} has {have} partitions, the installation has {partitions}")
    if lane.dead_letters not in counts:
        found.append(f"dead-letter topic {lane.dead_letters} does not exist")
    if policy not in (None, "compact"):
        found.append(f"changelog {changelog} has cleanup.policy={policy}, it must be compact: rows would expire")
    return found
