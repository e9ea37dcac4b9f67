"""The tables that the sink writes, column by column, as the migrations create them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from libs.topics.topic import FOREVER

DAY: Final = 24 * 60 * 60 * 1000
TIME: Final = "DateTime64(3, 'UTC')"
"""Written as whole milliseconds since 1970."""

Columns: TypeAlias = list[Sequence[Any]]
"""One sequence per column of a table, in its order, all of the same length."""


class Table(msgspec.Struct, frozen=True):
    """A table without the columns that ClickHouse fills."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """Name and type as sent. Where the table has LowCardinality(String), plain text is: the server builds the
    dictionary faster than we could."""
    time: str
    """The column by which its rows age."""
    retention_ms: int
    """As in the table's TTL: ClickHouse takes older rows and drops them at the next merge, without a word.
    `FOREVER`: it has none."""

    def expired(self, columns: Columns, now: int) -> int:
        """Count the rows that ClickHouse will not keep; ``now``: milliseconds. The TTL counts whole seconds."""
        if self.retention_ms == FOREVER:
            return 0
        times = columns[[name for name, _ in self.columns].index(self.time)]
        oldest = (now - self.retention_ms) // 1000 * 1000 + 1000
        return 0 if min(times, default=oldest) >= oldest else sum(time < oldest for time in times)


RAW_EVENTS: Final = Table(
    "raw_events",
    (
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("type", "String"),
        ("product_id", "String"),
        ("device_id", "String"),
        ("data_type", "String"),
        ("to_device_id", "String"),
        ("message_id", "String"),
        ("encoding", "String"),
        ("payload", "String"),
        ("received_at", TIME),
        ("device_at", f"Nullable({TIME})"),
    ),
    "received_at",
    90 * DAY,
)


def _metric_columns(value: str) -> tuple[tuple[str, str], ...]:
    return (
        ("product_id", "String"),
        ("device_id", "String"),
        ("data_type", "String"),
        ("key", "String"),
        ("ts", TIME),
        ("value", value),
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
    )


METRICS: Final = Table("metrics", _metric_columns("Float64"), "ts", 400 * DAY)
METRIC_STRINGS: Final = Table("metric_strings", _metric_columns("String"), "ts", 400 * DAY)

PRESENCE_TRANSITIONS: Final = Table(
    "presence_transitions",
    (
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("id", "String"),
        ("product_id", "String"),
        ("device_id", "String"),
        ("old", "String"),
        ("new", "String"),
        ("cause", "String"),
        ("reason", "String"),
        ("client_id", "String"),
        ("channel_id", "String"),
        ("previous_channel_id", "String"),
        ("source", "String"),
        ("at", TIME),
        ("observed_at", TIME),
        ("since", f"Nullable({TIME})"),
    ),
    "at",
    400 * DAY,
)

REGISTRY_EVENTS: Final = Table(
    "registry_events",
    (
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("id", "String"),
        ("type", "String"),
        ("product_id", "String"),
        ("device_id", "String"),
        ("key_id", "String"),
        ("version", "UInt64"),
        ("by", "String"),
        ("at", TIME),
        ("event", "String"),
    ),
    "at",
    FOREVER,
)

TABLES: Final = (RAW_EVENTS, METRICS, METRIC_STRINGS, PRESENCE_TRANSITIONS, REGISTRY_EVENTS)
