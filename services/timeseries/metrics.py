"""What the sink tells about itself."""

from __future__ import annotations

from typing import Final

from libs.runtime import metrics

BLOCKS: Final = metrics.counter("timeseries_blocks", "Blocks stored in ClickHouse and settled.", ("topic",))
REPLAYS: Final = metrics.counter(
    "timeseries_replays", "Blocks that an earlier reader had promised and this one stored.", ("topic",)
)
EVENTS: Final = metrics.counter(
    "timeseries_events",
    "Kafka records settled, by what became of them: stored, dead_letter, unknown (a type that this version does not "
    "know), lost (Kafka no longer had them when the sink came to them). Their sum is what was produced, less the lag.",
    ("topic", "outcome"),
)
ROWS: Final = metrics.counter("timeseries_rows", "Rows written.", ("table",))
EXPIRED: Final = metrics.counter(
    "timeseries_expired",
    "Of the rows written: those that were older than their table keeps, so that ClickHouse drops them.",
    ("table",),
)
CLOCKS: Final = metrics.counter(
    "timeseries_device_times",
    "Times that devices gave and that are not simply on time: late (over an hour old, believed), and those in whose "
    "place received_at stands: future (over a day ahead), ancient (before 2001, or older than metrics are kept), "
    "beyond (2106 and later), not_a_time (no whole number).",
    ("reason",),
)
LEFT_OUT: Final = metrics.counter(
    "timeseries_left_out", "Parts of payloads that became no metric, by reason; the raw event has them.", ("reason",)
)
INSERT_SECONDS: Final = metrics.histogram("timeseries_insert_seconds", "Time of one insert that succeeded.", ("table",))
OUTAGES: Final = metrics.counter("timeseries_outages", "Requests to ClickHouse that must be repeated.")
PAUSED: Final = metrics.gauge(
    "timeseries_paused",
    "Partitions that are not read for the time being: the buffer is full, since ClickHouse is slow or away.",
)
LAG: Final = metrics.gauge(
    "timeseries_lag", "Records in Kafka that are not settled, by partition of this process.", ("topic", "partition")
)
