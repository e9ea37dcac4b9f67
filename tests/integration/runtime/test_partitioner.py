from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.lane.producer import Deliveries, LaneProducer
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


def test_a_lanes_batch_goes_to_the_partition_that_is_named(brokers: Stack) -> None:
    """Answers are for one asker; the client's batch call takes a partition of each message, and ignores it."""
    topic, delivered = unique("named"), Deliveries()
    create_topic(brokers.kafka, topic, partitions=7)
    app: Any = None  # asked only when it starts
    producer = LaneProducer(app, client_config(KafkaSettings(bootstrap=brokers.kafka)))
    for partition in (5, 2):
        batch = [{"key": b"correlation-%d" % n, "value": b"{}"} for n in range(20)]
        producer.send(topic, batch, delivered, partition)
    assert producer.client.flush(20) == 0
    assert delivered.pending == 0
    assert sorted(record.partition for record in read_all(brokers.kafka, topic)) == [2] * 20 + [5] * 20
