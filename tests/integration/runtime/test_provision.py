from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    ResourceType,
)

from libs.runtime.provision import Provisioned, TopicMismatch, ensure
from libs.runtime.settings import KafkaSettings
from libs.topics import catalog
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import create_topic

if TYPE_CHECKING:
    from devstack.stack import Stack

NOTHING = Provisioned(created=(), completed=(), kept=())


@pytest.fixture
def kafka(brokers: Stack) -> KafkaSettings:
    return KafkaSettings(bootstrap=brokers.kafka, partitions=3)


@pytest.fixture
def admin(brokers: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": brokers.kafka})


def like(name: str) -> catalog.Topic:
    """A topic of the test's own, otherwise as the catalog has it."""
    return msgspec.structs.replace(catalog.get(name), name=unique("provision"))


def own_config(admin: AdminClient, topic: str) -> dict[str, str]:
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return {entry.name: entry.value for entry in future.result(timeout=10).values() if entry.source == own}


def set_config(admin: AdminClient, topic: str, **config: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(timeout=10)
    wanted = {name.replace("_", "."): value for name, value in config.items()}
    eventually(lambda: wanted.items() <= own_config(admin, topic).items(), describe="the setting")


def partitions(admin: AdminClient, topic: str) -> int:
    return len(admin.list_topics(topic, timeout=10).topics[topic].partitions)


def test_missing_topics_are_created_with_partitions_and_settings_of_the_catalog(
    kafka: KafkaSettings, admin: AdminClient
) -> None:
    keyed, letters = like("presence.state"), like("ingest.dead-letters")
    assert set(ensure(kafka, [keyed, letters]).created) == {keyed.name, letters.name}
    assert partitions(admin, keyed.name) == 3
    assert partitions(admin, letters.name) == 1
    assert own_config(admin, keyed.name) == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
        **keyed.config,
    }


def test_a_second_run_does_nothing(kafka: KafkaSettings) -> None:
    topics = [like("presence.state"), like("device.telemetry")]
    ensure(kafka, topics)
    assert ensure(kafka, topics) == NOTHING


def test_runs_at_the_same_time_create_each_topic_once(kafka: KafkaSettings, admin: AdminClient) -> None:
    topics = [like("presence.state") for _ in range(5)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: ensure(kafka, topics), range(4)))
    created = [name for result in results for name in result.created]
    assert sorted(created) == sorted(topic.name for topic in topics)
    assert [partitions(admin, topic.name) for topic in topics] == [3] * 5


def test_another_number_of_partitions_is_refused_and_nothing_is_created(
    kafka: KafkaSettings, admin: AdminClient
) -> None:
    old, new = like("device.telemetry"), like("device.telemetry")
    ensure(kafka, [old])
    admin.create_partitions([NewPartitions(old.name, 5)])[old.name].result(timeout=10)
    eventually(lambda: partitions(admin, old.name) == 5, describe="five partitions")
    with pytest.raises(TopicMismatch) as refused:
        ensure(kafka, [new, old])
    (problem,) = refused.value.problems
    assert problem.startswith(f"topic {old.name} has 5 partitions where 3 are wanted")
    assert new.name not in admin.list_topics(timeout=10).topics


def test_another_cleanup_policy_is_refused(kafka: KafkaSettings, brokers: Stack) -> None:
    topic = like("presence.state")
    create_topic(brokers.kafka, topic.name, partitions=3)
    with pytest.raises(TopicMismatch, match=f"topic {topic.name} has cleanup.policy=delete where compact is wanted"):
        ensure(kafka, [topic])


def test_settings_that_a_topic_lacks_are_added(kafka: KafkaSettings, admin: AdminClient, brokers: Stack) -> None:
    topic = like("presence.state")
    create_topic(brokers.kafka, topic.name, partitions=3, config={"cleanup.policy": "compact"})
    done = ensure(kafka, [topic])
    assert set(done.completed) == {f"{topic.name}: {name}" for name in ("retention.ms", *topic.config)}
    eventually(lambda: own_config(admin, topic.name).items() >= topic.config.items(), describe="the settings")
    assert ensure(kafka, [topic]) == NOTHING


def test_settings_that_an_operator_made_are_kept_and_told(kafka: KafkaSettings, admin: AdminClient) -> None:
    topic = like("device.telemetry")
    ensure(kafka, [topic])
    set_config(admin, topic.name, retention_ms="1234")
    done = ensure(kafka, [topic])
    assert done.kept == (
        f"topic {topic.name} has retention.ms=1234, the catalog says {topic.retention_ms}: left as it is",
    )
    assert own_config(admin, topic.name)["retention.ms"] == "1234"


def test_what_kafka_refuses_is_raised(brokers: Stack) -> None:
    kafka = KafkaSettings(bootstrap=brokers.kafka, partitions=3, replication=2)
    with pytest.raises(KafkaException, match="replication factor"):
        ensure(kafka, [like("device.telemetry")])


def test_a_kafka_that_does_not_answer_is_an_error_within_the_timeout() -> None:
    with pytest.raises(KafkaException):
        ensure(KafkaSettings(bootstrap="127.0.0.1:1"), [like("device.telemetry")], timeout=1.0)
