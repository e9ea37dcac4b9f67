"""The topics of a ledger, and what Kafka says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from libs.topics.names import changelog, dead_letters
from tests.integration.lane.ledger import TABLE, inbox, outputs
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTITIONS = 4


def topics_of(service: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Partition count and configuration by topic."""
    return {
        inbox(service): (PARTITIONS, {}),
        outputs(service): (PARTITIONS, {}),
        changelog(service, TABLE): (PARTITIONS, {"cleanup.policy": "compact"}),
        dead_letters(service): (PARTITIONS, {"max.message.bytes": str(2 * 1024 * 1024)}),
    }


def create(bootstrap: str, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(name, partitions, 1, config=config) for name, (partitions, config) in topics.items()]
    for future in admin.create_topics(new).values():
        future.result(30)
    eventually(lambda: topics.keys() <= admin.list_topics(timeout=10).topics.keys(), describe="the test's topics")


def configure(bootstrap: str, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    ).values():
        future.result(30)


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """Next offset by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends"})
    try:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in range(PARTITIONS)
        }
    finally:
        consumer.close()


def committed(bootstrap: str, service: str, group: str = "") -> dict[int, int]:
    """Committed offset of the inbox by partition; 0 where there is none. ``group``: where it is not the service's."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group or service})
    try:
        found = consumer.committed([TopicPartition(inbox(service), number) for number in range(PARTITIONS)], timeout=10)
        return {one.partition: max(one.offset, 0) for one in found}
    finally:
        consumer.close()
