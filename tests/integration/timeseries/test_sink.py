"""The sink as a process, on real Kafka and ClickHouse: every event once, whatever happens to it."""

from __future__ import annotations

import signal
from base64 import b64decode
from typing import TYPE_CHECKING

import msgspec
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from libs.topics.codec import encode
from libs.topics.messages.telemetry import DataUploaded
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import forget, produce, read_all
from tests.support.sink import NOW, Sink, assert_exact, uploads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.stack import Stack

TOPIC = "device.telemetry"


@pytest.fixture
def product() -> str:
    return unique("p")


def test_killed_again_and_again_under_load_it_stores_every_event_once(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    count = 50_000
    sink = Sink(brokers, tmp_path, block_rows=10_000)
    produce(brokers.kafka, TOPIC, uploads(product, count))
    with sink:
        for share in (0.1, 0.3, 0.5, 0.7):
            sink.await_count("raw_events", f"product_id = '{product}'", int(count * share))
            assert sink.end(signal.SIGKILL) == -signal.SIGKILL
            sink.start()
        sink.await_count("raw_events", f"product_id = '{product}'", count)
        assert sink.end() == 0
        assert_exact(sink, product, count)
        assert "replays=['device.telemetry-" in sink.said()


def test_a_block_that_was_stored_but_not_settled_is_not_stored_again(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    with Sink(brokers, tmp_path, block_seconds=2, block_rows=1_000_000, instance_id="") as sink:
        sink.await_ready()
        produce(brokers.kafka, TOPIC, uploads(product, 2_000))
        sink.await_count("metric_strings", f"product_id = '{product}'", 2_000)
        assert sink.end() == 0
        settled = commits(brokers, sink)
        take_back_last_commits(brokers, sink)
        assert commits(brokers, sink) != settled
        sink.start()
        eventually(lambda: commits(brokers, sink) == settled, describe="the same commits again")
        assert sink.end() == 0
        assert "replays=['device.telemetry-" in sink.said()
        assert_exact(sink, product, 2_000)


def take_back_last_commits(brokers: Stack, sink: Sink) -> None:
    """Commit for each partition what stood there before its only block was settled: the block's plan."""
    blocks = sink.rows("SELECT partition, min(offset), max(offset), uniqExact(stored_at) FROM raw_events GROUP BY 1")
    assert {inserts for *_, inserts in blocks} == {1}
    admin = AdminClient({"bootstrap.servers": brokers.kafka})
    back = [TopicPartition(TOPIC, number, first, f"block:{first}-{last}") for number, first, last, _ in blocks]
    done = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(sink.group, back)])
    assert not [place.error for place in done[sink.group].result(timeout=30).topic_partitions if place.error]


def commits(brokers: Stack, sink: Sink) -> set[tuple[int, int, str]]:
    """(partition, offset, metadata) of the group's commits for telemetry."""
    admin = AdminClient({"bootstrap.servers": brokers.kafka})
    found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(sink.group)])[sink.group].result(timeout=30)
    return {(p.partition, p.offset, p.metadata or "") for p in found.topic_partitions if p.topic == TOPIC}


def test_while_clickhouse_is_away_it_stays_in_its_group_and_loses_nothing(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    with Sink(brokers, tmp_path, block_rows=2_000, buffer_bytes=200_000) as sink:
        produce(brokers.kafka, TOPIC, uploads(product, 1_000))
        sink.await_count("raw_events", f"product_id = '{product}'", 1_000)
        member = sink.members()
        ended = brokers.pid("clickhouse")
        brokers.kill("clickhouse", signal.SIGKILL)
        eventually(lambda: brokers.pid("clickhouse") not in {None, ended}, describe="ClickHouse started again")
        brokers.kill("clickhouse", signal.SIGSTOP)  # before it listens: also a slow sink writes into the outage
        produce(brokers.kafka, TOPIC, uploads(product, 9_000, start=1_000))
        eventually(lambda: sink.health("ready") == 503, describe="a sink that says that it is not ready")
        assert sink.health("live") == 200
        brokers.kill("clickhouse", signal.SIGCONT)
        sink.await_count("raw_events", f"product_id = '{product}'", 10_000)
        assert sink.members() == member
        assert sink.end() == 0
        assert_exact(sink, product, 10_000)
        assert "ClickHouse answers again" in sink.said()
        assert sink.said().count("partitions assigned") == 1


def test_a_replica_that_joins_under_load_and_one_that_dies_change_nothing(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    first = Sink(brokers, tmp_path, block_rows=4_000)
    shared = {"group": first.group, "clickhouse_database": first.database}
    second = Sink(brokers, tmp_path, block_rows=4_000, instance_id="two", **shared)
    produce(brokers.kafka, TOPIC, uploads(product, 10_000))
    with first:
        first.await_count("raw_events", f"product_id = '{product}'", 1_000)
        with second:
            second.await_ready()
            assert len(first.members()) == 2
            produce(brokers.kafka, TOPIC, uploads(product, 2_000, start=10_000))
            assert first.end(signal.SIGKILL) == -signal.SIGKILL
            first.start()
            first.await_count("raw_events", f"product_id = '{product}'", 12_000)
            assert second.end() == 0
        assert first.end() == 0
        assert_exact(first, product, 12_000)


def test_a_commit_of_somebody_else_ends_the_process_with_the_reason(brokers: Stack, tmp_path: Path) -> None:
    sink = Sink(brokers, tmp_path)
    admin = AdminClient({"bootstrap.servers": brokers.kafka})
    foreign = ConsumerGroupTopicPartitions(sink.group, [TopicPartition(TOPIC, 0, 0, "by hand")])
    admin.alter_consumer_group_offsets([foreign])[sink.group].result(timeout=30)
    with sink:
        assert sink.exit_status() == 1
    assert "device.telemetry-0: the commit of offset 0 carries 'by hand'" in sink.said()


@pytest.fixture
def telemetry_without_traces(brokers: Stack) -> Iterator[None]:
    yield
    forget(brokers.kafka, TOPIC)


@pytest.mark.usefixtures("telemetry_without_traces")
def test_garbage_becomes_one_dead_letter_each_and_the_sink_goes_on(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    key = f"{product}/garbage".encode()
    garbage = [b"\xff\x00 no JSON", b'{"type":"data_uploaded","product_id":5}', b"{}"]
    unknown = b'{"type":"telemetry_dreamt","product_id":"p"}'
    binary = DataUploaded(product, "garbage", "photo", "m", 1, "base64", msgspec.Raw(b'"AP8="'), NOW)
    with Sink(brokers, tmp_path) as sink:
        produce(brokers.kafka, TOPIC, [*((key, value) for value in (*garbage, unknown)), (key, encode(binary))])
        produce(brokers.kafka, TOPIC, uploads(product, 10))
        sink.await_count("raw_events", f"product_id = '{product}'", 11)
        assert sink.end() == 0
        records = read_all(brokers.kafka, "timeseries.dead-letters", key=key)
        letters = {record.value: record.message for record in records}  # another sink writes the same ones
        assert sorted(b64decode(letter["payload"]) for letter in letters.values()) == sorted(garbage)
        assert {letter["reason"] for letter in letters.values()} == {"invalid_message"}
        assert sink.rows(f"SELECT payload FROM raw_events WHERE product_id = '{product}' AND encoding = 'base64'") == [
            ("AP8=",)
        ]


def test_a_block_that_clickhouse_refuses_ends_the_process_with_the_reason(
    brokers: Stack, tmp_path: Path, product: str
) -> None:
    with Sink(brokers, tmp_path) as sink:
        sink.await_ready()
        sink.rows("ALTER TABLE raw_events ADD CONSTRAINT no_more CHECK message_id != 'm3'")
        produce(brokers.kafka, TOPIC, uploads(product, 5))
        assert sink.exit_status() == 1
        assert "no_more" in sink.said()
        sink.rows("ALTER TABLE raw_events DROP CONSTRAINT no_more")
        sink.start()
        sink.await_count("raw_events", f"product_id = '{product}'", 5)
        assert sink.end() == 0
        assert_exact(sink, product, 5)


def test_a_changed_migration_refuses_the_start_for_good(brokers: Stack, tmp_path: Path) -> None:
    with Sink(brokers, tmp_path) as sink:
        sink.await_ready()
        assert sink.end() == 0
        sink.rows(
            "INSERT INTO schema_migrations (service, number, name, checksum) VALUES ('timeseries', 1, 'x', 'other')"
        )
        sink.start()
        assert sink.exit_status() == 78
        assert "was changed after it had been applied" in sink.said()
