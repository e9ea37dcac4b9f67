"""Devices' own times on their way from Kafka into ClickHouse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.topics.codec import encode
from libs.topics.messages.telemetry import DataUploaded
from services.timeseries.table import DAY
from services.timeseries.tables import METRICS
from tests.support.names import unique
from tests.support.records import produce
from tests.support.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.stack import Stack

HUB = int(time.time()) * 1000 - 60_000
"""The events are a minute old when the sink has them."""
SWALLOWED = HUB - METRICS.retention_ms + 1_000
"""Believed when it was received; too old to be kept a minute later."""

UPLOADS: dict[str, tuple[Any, int, int | None]] = {
    "in time": (HUB - 5, HUB - 5, HUB - 5),
    "in seconds": (HUB // 1000, HUB, HUB),
    "late": (HUB - 300 * DAY, HUB - 300 * DAY, HUB - 300 * DAY),
    "ahead": (HUB + DAY, HUB + DAY, HUB + DAY),
    "future": (HUB + 2 * DAY, HUB, HUB + 2 * DAY),
    "1970": (86_400, HUB, 86_400_000),
    "negative": (-1, HUB, None),
    "last of 2106": (2**32 - 1, HUB, (2**32 - 1) * 1000),
    "after 2106": (2**32, HUB, None),
    "25 digits": (10**25, HUB, None),
    "text": ("noon", HUB, None),
    "none": (None, HUB, None),
}
"""Device to (``ts``, time of its metrics, ``device_at``)."""


def uploads(product: str) -> Iterator[tuple[bytes, bytes]]:
    cases = {device: ts for device, (ts, *_) in UPLOADS.items()} | {"swallowed": SWALLOWED}
    for device, ts in cases.items():
        payload = msgspec.json.encode({"ts": None, "n": 1}).replace(b"null", _json(ts))
        event = DataUploaded(product, device, "weather", "m", 1, "json", msgspec.Raw(payload), HUB)
        yield f"{product}/{device}".encode(), encode(event)


def _json(value: Any) -> bytes:
    return b"%d" % value if isinstance(value, int) else msgspec.json.encode(value)


@pytest.fixture
def sink(brokers: Stack, tmp_path: Path) -> Iterator[Sink]:
    with Sink(brokers, tmp_path) as sink:
        sink.await_ready()
        yield sink


def test_every_time_has_its_place_and_the_odd_ones_are_counted(brokers: Stack, sink: Sink) -> None:
    product = unique("p")
    produce(brokers.kafka, "device.telemetry", uploads(product))
    ours = f"product_id = '{product}'"
    sink.await_count("raw_events", ours, len(UPLOADS) + 1)
    sink.await_count("metrics", f"{ours} AND key = 'n' AND device_id != 'swallowed'", len(UPLOADS))
    stamps = "toUnixTimestamp64Milli"
    metrics = dict(sink.rows(f"SELECT device_id, {stamps}(ts) FROM metrics WHERE {ours} AND key = 'n'"))
    raw = dict(sink.rows(f"SELECT device_id, {stamps}(device_at) FROM raw_events WHERE {ours}"))
    assert {device: metrics[device] for device in UPLOADS} == {device: ts for device, (_, ts, _) in UPLOADS.items()}
    assert raw == {device: said for device, (*_, said) in UPLOADS.items()} | {"swallowed": SWALLOWED}
    assert sink.rows(f"SELECT DISTINCT {stamps}(received_at) FROM raw_events WHERE {ours}") == [(HUB,)]
    assert sink.end() == 0
    sink.rows("OPTIMIZE TABLE metrics FINAL")
    assert sink.rows(f"SELECT count() FROM metrics WHERE {ours} AND device_id = 'swallowed'") == [(0,)]


def test_times_are_counted_by_reason_and_swallowed_rows_by_table(brokers: Stack, sink: Sink) -> None:
    produce(brokers.kafka, "device.telemetry", uploads(unique("p")))
    sink.await_settled("device.telemetry", len(UPLOADS) + 1)
    reasons = {"late": 2, "future": 2, "ancient": 2, "beyond": 2, "not_a_time": 1}
    assert {r: sink.metric("timeseries_device_times_total", reason=r) for r in reasons} == reasons
    tables = {"raw_events": 0, "metrics": 1, "metric_strings": 0}
    assert {t: sink.metric("timeseries_expired_total", table=t) for t in tables} == tables
