"""The tables that the sink writes, column by column, as the migrations create them. Pure."""

from __future__ import annotations

from typing import Final

from libs.topics.topic import FOREVER

from .command_tables import COMMAND_EVENTS, COMMANDS, FANOUTS, PROBES
from .table import DAY, POSITION, TIME, Table

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

SHADOW_EVENTS: Final = Table(
    "shadow_events",
    (
        *POSITION,
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
        *POSITION,
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
        *POSITION,
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
        *POSITION,
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
        *POSITION,
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
    COMMAND_EVENTS,
    COMMANDS,
    PROBES,
    FANOUTS,
)
