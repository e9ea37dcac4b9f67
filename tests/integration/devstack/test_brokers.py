from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import clickhouse, devices, records
from tests.support.names import unique

if TYPE_CHECKING:
    from devstack.stack import Stack


def test_a_record_written_to_kafka_is_read_back(brokers: Stack) -> None:
    topic = unique("topic")
    records.create_topic(brokers.kafka, topic, partitions=3)
    records.produce(brokers.kafka, topic, [(b"p/d", b'{"n":1}'), (b"p/d", b'{"n":2}'), (b"p/e", b'{"n":3}')])
    found = records.read_all(brokers.kafka, topic, key=b"p/d")
    assert [record.message["n"] for record in found] == [1, 2]


def test_clickhouse_answers_with_its_own_version(brokers: Stack) -> None:
    with clickhouse.client(brokers.clickhouse_url) as client:
        assert client.query("SELECT version()").result_rows[0][0] == client.server_version


def test_a_device_publishes_what_the_hub_receives(brokers: Stack) -> None:
    product = unique("p")
    with devices.subscribed(brokers.mqtt_internal_port, [f"upload_data/{product}/#"]) as received:
        devices.publish(brokers.mqtt_port, f"{product}/d", [(f"upload_data/{product}/d/t/1", b"{}")])
        assert received.next().topic == f"upload_data/{product}/d/t/1"
