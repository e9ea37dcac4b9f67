"""The time series sink as a process of a test's own: its group, its database, and ends of every kind."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from devstack.environment import process_environment
from devstack.stack import CHECKOUT
from libs.topics.codec import encode
from libs.topics.messages.telemetry import DataUploaded
from tests.support import clickhouse
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from clickhouse_connect.driver.client import Client

    from devstack.stack import Stack

START_TIMEOUT = 60.0
NOW = 1_790_000_000_000
PAYLOAD = b'{"n":%d,"inner":{"half":0.5},"on":true,"state":"open"}'
EACH = {"metrics": 3, "metric_strings": 1, "raw_events": 1}
"""Rows of one upload."""
TOPICS = ("device.telemetry", "presence.transitions", "registry.events", "shadow.events", "commands.events")


def uploads(product: str, count: int, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of so many uploads of 50 devices; number n says ``{"n": n, …}``."""
    for n in range(start, start + count):
        event = DataUploaded(product, f"d{n % 50}", "weather", f"m{n}", 1, "json", msgspec.Raw(PAYLOAD % n), NOW + n)
        yield f"{product}/d{n % 50}".encode(), encode(event)


def assert_exact(sink: Sink, product: str, count: int) -> None:
    """Every event of the product has all its rows, once."""
    ours = f"product_id = '{product}'"
    for table, each in EACH.items():
        [(rows, places)] = sink.rows(f"SELECT count(), uniqExact(topic, partition, offset) FROM {table} WHERE {ours}")
        assert (table, rows, places) == (table, count * each, count)
    [(rows, numbers, total)] = sink.rows(
        f"SELECT count(), uniqExact(value), sum(value) FROM metrics WHERE {ours} AND key = 'n'"
    )
    assert (rows, numbers, total) == (count, count, count * (count - 1) / 2)


class Sink:
    """Stores what is written from now on. As a context manager: started, and ended at the end.

    ``settings`` are FLEETLOG_ variables without the prefix; one with the ``group`` of another is its replica.
    """

    def __init__(self, brokers: Stack, folder: Path, **settings: object) -> None:
        self.name = unique("sink")
        self.database = str(settings.get("clickhouse_database", self.name))
        self.group = str(settings.get("group", self.name))
        self.log = folder / f"{self.name}.log"
        self.url = brokers.ops_url(self.name)
        self._kafka = brokers.kafka
        self._clickhouse_url = brokers.clickhouse_url
        told = brokers.env("timeseries") | {
            "FLEETLOG_OPS_PORT": self.url.rpartition(":")[2],
            "FLEETLOG_CLICKHOUSE_DATABASE": self.database,
            "FLEETLOG_GROUP": self.group,
            "FLEETLOG_INSTANCE_ID": "one",
        }
        told |= {f"FLEETLOG_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = process_environment(told)
        if "group" not in settings:
            self._skip_what_others_wrote(brokers)
        self._client: Client | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._client is not None:
            self._client.close()

    def _skip_what_others_wrote(self, brokers: Stack) -> None:
        """Commit the present end of every partition, as if the sink had stored all until now."""
        consumer = Consumer({"bootstrap.servers": brokers.kafka, "group.id": self.group})
        try:
            ends = [
                TopicPartition(topic, number, eventually(partial(_end, consumer, topic, number)) - 1)
                for topic in TOPICS
                for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
            ]
            consumer.commit(offsets=ends, asynchronous=False)
        finally:
            consumer.close()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "services.timeseries"),
                cwd=CHECKOUT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, number: int = signal.SIGTERM, timeout: float = 30.0) -> int:
        """Send a signal and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout)

    def exit_status(self, timeout: float = START_TIMEOUT) -> int:
        """Wait until it ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask ClickHouse, in the sink's database."""
        if self._client is None:
            self._client = clickhouse.client(self._clickhouse_url, self.database)
        return [tuple(row) for row in self._client.query(sql).result_rows]

    def merge(self, table: str) -> None:
        """Let ClickHouse merge all that it would some day."""
        self.rows("SELECT 1")
        assert self._client is not None
        self._client.command(f"OPTIMIZE TABLE {table} FINAL")

    def await_ready(self) -> None:
        eventually(lambda: self.health("ready") == 200, START_TIMEOUT, describe=f"a ready sink\n{self.said()[-2000:]}")

    def await_count(self, table: str, where: str, count: int, timeout: float = START_TIMEOUT) -> None:
        """Return when the table has at least so many rows; the sink may still be creating it."""
        self.await_ready()

        def enough() -> bool:
            [(found,)] = self.rows(f"SELECT count() FROM {table} WHERE {where}")
            assert found >= count, f"{found} of {count} rows"
            return True

        eventually(enough, timeout, describe=f"{count} rows in {table}")

    def health(self, check: str) -> int:
        """HTTP status of ``/health/<check>``; 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/{check}", timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels; 0 where it has none yet."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"fleetlog_{name}" and labels.items() <= sample.labels.items()
        )

    def await_settled(self, topic: str, count: int, timeout: float = START_TIMEOUT) -> None:
        """Return when this process has stored and settled at least so many events of the topic."""
        name = "timeseries_events_total"
        stored = lambda: self.metric(name, topic=topic, outcome="stored") >= count  # noqa: E731
        eventually(stored, timeout, describe=f"{count} events settled")

    def members(self) -> list[str]:
        """The ids that Kafka gave to the members of its group."""
        admin = AdminClient({"bootstrap.servers": self._kafka})
        group = admin.describe_consumer_groups([self.group])[self.group].result(timeout=30)
        return sorted(member.member_id for member in group.members)

    def said(self) -> str:
        """Everything that it logged in all its lives."""
        return self.log.read_text(errors="replace")


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """One more than the partition's end, so that it is never 0; `AssertionError` while it is just being made."""
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    except KafkaException as error:
        raise AssertionError(str(error)) from error
    return int(end) + 1
