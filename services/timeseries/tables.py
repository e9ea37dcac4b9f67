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

_POSITION: Final = (("topic", "String"), ("partition", "UInt16"), ("offset", "UInt64"), ("id", "String"))

SHADOW_EVENTS: Final = Table(
    "shadow_events",
    (
        *_POSITION,
        ("type", "String"),
        ("product_id", "String"),
        ("device_id", "String"),
        ("shadow", "String"),
        ("cause", "String"),
        ("via", "String"),
        ("by", "String"),
        ("code", "String"),
        ("version_before", "UInt64"),
        ("version", "UInt64"),
        ("desired_version", "UInt64"),
        ("reported_version", "UInt64"),
        ("created_at", f"Nullable({TIME})"),
        ("at", TIME),
        ("has_checkpoint", "Bool"),
        ("converged", "Bool"),
        ("pending_since", f"Nullable({TIME})"),
        ("patch_id", "String"),
        ("event", "String"),
    ),
    "at",
    FOREVER,
)

SHADOW_CURRENT: Final = Table(
    "shadow_current",
    (
        ("product_id", "String"),
        ("device_id", "String"),
        ("shadow", "String"),
        ("version", "UInt64"),
        ("desired_version", "UInt64"),
        ("reported_version", "UInt64"),
        ("created_at", TIME),
        ("at", TIME),
        ("deleted", "Bool"),
        ("converged", "Bool"),
        ("pending_since", f"Nullable({TIME})"),
        ("delta", "String"),
    ),
    "at",
    FOREVER,
)

SHADOW_CONVERGENCE: Final = Table(
    "shadow_convergence",
    (
        *_POSITION,
        ("product_id", "String"),
        ("device_id", "String"),
        ("shadow", "String"),
        ("path", "String"),
        ("since", TIME),
        ("converged_at", TIME),
        ("ms", "UInt64"),
        ("drifted", "Bool"),
        ("version", "UInt64"),
    ),
    "converged_at",
    400 * DAY,
)

STATUS_EVENTS: Final = Table(
    "status_events",
    (
        *_POSITION,
        ("product_id", "String"),
        ("device_id", "String"),
        ("message_id", "String"),
        ("status", "String"),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)

SHADOW_PATCHES: Final = Table(
    "shadow_patches",
    (
        *_POSITION,
        ("product_id", "String"),
        ("patch_id", "String"),
        ("answered_by", "UInt16"),
        ("tag", "String"),
        ("shadow", "String"),
        ("matched", "UInt64"),
        ("changed", "UInt64"),
        ("refused", "UInt64"),
        ("by", "String"),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)

SHADOW_PATCH_MEMBERS: Final = Table(
    "shadow_patch_members",
    (
        *_POSITION,
        ("product_id", "String"),
        ("patch_id", "String"),
        ("device_id", "String"),
        ("shadow", "String"),
        ("code", "String"),
        ("pending", "Array(String)"),
        ("version", "UInt64"),
        ("created_at", f"Nullable({TIME})"),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)

TABLES: Final = (
    RAW_EVENTS,
    METRICS,
    METRIC_STRINGS,
    PRESENCE_TRANSITIONS,
    REGISTRY_EVENTS,
    SHADOW_EVENTS,
    SHADOW_CURRENT,
    SHADOW_CONVERGENCE,
    STATUS_EVENTS,
    SHADOW_PATCHES,
    SHADOW_PATCH_MEMBERS,
)
