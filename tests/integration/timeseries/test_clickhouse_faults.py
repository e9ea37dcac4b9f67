"""ClickHouse slow, away, full or without a voice: the sink waits in its group, and every event is stored once.

With LONG_FAULTS=1 an insert takes 10 s and the outage lasts 10 minutes.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import produce
from tests.support.sink import Sink, assert_exact, uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack

LONG = os.environ.get("LONG_FAULTS") == "1"
SLOW_SECONDS = 10.0 if LONG else 0.8
DOWN_SECONDS = 600.0 if LONG else 1.0
"""After the partitions have been paused."""
PATIENCE = 120.0
pytestmark = pytest.mark.timeout(DOWN_SECONDS + 6 * PATIENCE)
TOPIC = "device.telemetry"
COUNT = 6_000
"""Events: ten times the buffer below, so that it stays full while a few slow blocks pass."""

FULL = Fault("refuses", code=243, name="NOT_ENOUGH_SPACE")
TOO_MANY_PARTS = Fault("refuses", code=252, name="TOO_MANY_PARTS")


@pytest.fixture(scope="module")
def proxy(brokers: Stack) -> Iterator[FaultyProxy]:
    with FaultyProxy(brokers.clickhouse_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def sink(brokers: Stack, proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    """One process for all faults: whatever comes, it stays what it is."""
    folder = tmp_path_factory.mktemp("faults")
    with Sink(brokers, folder, clickhouse_url=proxy.url, block_rows=2_000, buffer_bytes=200_000) as sink:
        sink.await_ready()
        yield sink


def await_paused(sink: Sink) -> None:
    eventually(lambda: sink.metric("timeseries_paused") > 0, PATIENCE, describe="partitions that are paused")


def assert_waits(sink: Sink, members: list[str]) -> None:
    """It is alive, and for Kafka the same member as before, in the same generation of the group."""
    assert sink.health("live") == 200
    assert sink.members() == members
    assert sink.said().count("partitions assigned") == 1  # a new generation would assign again


def assert_recovers(sink: Sink, product: str, members: list[str]) -> None:
    sink.await_count("raw_events", f"product_id = '{product}'", COUNT, PATIENCE)
    sink.await_count("metric_strings", f"product_id = '{product}'", COUNT, PATIENCE)
    eventually(lambda: sink.metric("timeseries_lag") == 0, PATIENCE, describe="everything settled")
    assert sink.metric("timeseries_paused") == 0
    assert sink.health("ready") == 200
    assert_waits(sink, members)
    assert_exact(sink, product, COUNT)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault("away")], id="away"),
        pytest.param([FULL, TOO_MANY_PARTS, Fault("mute")], id="full, overloaded, stored without an answer"),
    ],
)
def test_while_clickhouse_takes_nothing_it_waits_in_its_group_and_loses_nothing(
    brokers: Stack, sink: Sink, proxy: FaultyProxy, faults: list[Fault]
) -> None:
    product, members = unique("p"), sink.members()
    proxy.fail(*faults)
    produce(brokers.kafka, TOPIC, uploads(product, COUNT))
    await_paused(sink)
    eventually(lambda: proxy.failed > len(faults), PATIENCE, describe="an insert for each fault")
    threading.Event().wait(DOWN_SECONDS)
    assert sink.health("ready") == 503
    assert_waits(sink, members)
    proxy.heal()
    assert_recovers(sink, product, members)


def test_while_every_insert_is_slow_it_pauses_and_goes_on_block_by_block(
    brokers: Stack, sink: Sink, proxy: FaultyProxy
) -> None:
    product, members = unique("p"), sink.members()
    proxy.fail(Fault("slow", seconds=SLOW_SECONDS))
    produce(brokers.kafka, TOPIC, uploads(product, COUNT))
    await_paused(sink)
    settled = sink.metric("timeseries_blocks_total", topic=TOPIC)
    eventually(
        lambda: sink.metric("timeseries_blocks_total", topic=TOPIC) > settled, PATIENCE, describe="another block"
    )
    assert_waits(sink, members)
    proxy.heal()
    assert_recovers(sink, product, members)
