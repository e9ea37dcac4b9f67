"""The tables of commands, probes and fan-outs, as `tables`. Pure."""

from __future__ import annotations

from typing import Final

from .table import DAY, POSITION, TIME, Table

COMMAND_EVENTS: Final = Table(
    "command_events",
    (
        *POSITION,
        ("type", "String"),
        ("product_id", "String"),
        ("device_id", "String"),
        ("request_id", "String"),
        ("state", "String"),
        ("mode", "String"),
        ("command", "String"),
        ("by", "String"),
        ("attempt", "UInt32"),
        ("message_id", "String"),
        ("rtt_ms", "Nullable(UInt64)"),
        ("reason", "String"),
        ("at", TIME),
        ("event", "String"),
    ),
    "at",
    400 * DAY,
)

_REPLY: Final = f"Tuple(at {TIME}, message_id String, encoding String, payload String)"

COMMANDS: Final = Table(
    "commands",
    (
        ("product_id", "String"),
        ("device_id", "String"),
        ("request_id", "String"),
        ("fanout_id", "String"),
        ("mode", "String"),
        ("command", "String"),
        ("by", "String"),
        ("state", "String"),
        ("attempts", "UInt32"),
        ("accepted_at", f"Nullable({TIME})"),
        ("expires_at", f"Nullable({TIME})"),
        ("sent_at", f"Nullable({TIME})"),
        ("delivered_at", f"Nullable({TIME})"),
        ("ended_at", f"Nullable({TIME})"),
        ("reason", "String"),
        ("rtt_ms", "Nullable(UInt64)"),
        ("reply", _REPLY),
        ("late_at", f"Nullable({TIME})"),
        ("late_reply", _REPLY),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)

PROBES: Final = Table(
    "probes",
    (
        *POSITION,
        ("product_id", "String"),
        ("device_id", "String"),
        ("probe_id", "String"),
        ("mode", "String"),
        ("verdict", "String"),
        ("attempts", "UInt32"),
        ("rtt_ms", "Nullable(UInt64)"),
        ("altered", "Bool"),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)

FANOUTS: Final = Table(
    "fanouts",
    (
        *POSITION,
        ("fanout_id", "String"),
        ("product_id", "String"),
        ("tag", "String"),
        ("answered_by", "UInt16"),
        ("members", "UInt64"),
        ("accepted", "UInt64"),
        ("queued", "UInt64"),
        ("refused", "UInt64"),
        ("rejected", "UInt64"),
        ("at", TIME),
    ),
    "at",
    400 * DAY,
)
