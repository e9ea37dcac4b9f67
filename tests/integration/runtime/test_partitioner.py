from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.settings import KafkaSettings
from libs.topics.identity import device_key
from tests.support.names import unique
from tests.support.records import create_topic, read_all

if TYPE_CHECKING:
    from devstack.stack import Stack


def test_both_client_libraries_put_a_device_into_the_same_partition(brokers: Stack) -> None:
    """Lanes look a key up where aiokafka's hash says; producers of librdkafka must write it there."""
    topic, count = unique("partitioner"), 7
    create_topic(brokers.kafka, topic, partitions=count)
    producer = Producer(client_config(KafkaSettings(bootstrap=brokers.kafka), **KEYED, **DURABLE))
    keys = [device_key("product", f"device-{number}") for number in range(300)]
    for key in keys:
        producer.produce(topic, key=key, value=b"{}")
    assert producer.flush(20) == 0
    found = {record.key: record.partition for record in read_all(brokers.kafka, topic)}
    assert found == {key: (murmur2(key) & 0x7FFFFFFF) % count for key in keys}
    assert set(found.values()) == set(range(count))
