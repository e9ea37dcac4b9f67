"""The benchmarks there are. A module has ``run(quick) -> dict`` with the fields that it reports, and maybe more."""

from __future__ import annotations

from typing import Final

import msgspec


class Bench(msgspec.Struct, frozen=True):
    module: str
    fields: tuple[str, ...]
    """What its last line has at least; readers of results rely on the names."""


_EXACT: Final = ("lost", "duplicated", "reordered")

BENCHES: Final = {
    "lane": Bench(
        "bench.lane",
        (
            "events_per_s",
            "events_per_s_hot",
            "ratio_to_plain_faust",
            "cpu_us_per_event",
            "cpu_ratio_to_plain_loop",
            "p50_ms",
            "p99_ms",
            "recovery_rows_per_s",
            "mismatched",
        ),
    ),
    "lane-parts": Bench("bench.lane_parts", ("mismatched",)),
    "ingest-drain": Bench(
        "bench.ingest_drain", ("msgs_per_s", *_EXACT, "cpu_us_per_msg", "cpu_ratio_to_plain_loop", "rss_mb")
    ),
    "ingest-live": Bench(
        "bench.ingest_live", ("msgs_per_s", "ratio_to_plain_loop", "paced_p50_ms", "paced_p99_ms", *_EXACT)
    ),
    "ingest-kill": Bench("bench.ingest_kill", ("kills", *_EXACT, "seconds")),
    "sink": Bench("bench.sink", ("rows_per_s", "ratio_to_naive_loop", "lost", "duplicated", "cpu_us_per_row")),
    "shadow": Bench(
        "bench.shadow",
        (
            "changes_per_s",
            "cpu_us_per_change",
            "patch_p50_ms",
            "patch_p99_ms",
            "recovery_cold_s",
            "recovery_warm_s",
            "documents",
            "mismatched",
            "rss_mb",
        ),
    ),
    "rpc": Bench("bench.rpc", ("rate", "p50_ms", "p99_ms", "errors", "waiters")),
    "ledger": Bench(
        "bench.ledger",
        ("events_per_s", "cpu_us_per_event", "slowdown_with_backlog", "backlog_mb", "mismatched"),
    ),
    "fanout": Bench("bench.fanout", ("members", "online_reached_s", "mismatched")),
    "register": Bench("bench.register", ("devices_per_s", "refused")),
    "end-to-end": Bench("bench.end_to_end", ("rate", "p50_ms", "p99_ms", "lost")),
    "cut": Bench("bench.cut", ("p50_ms", "p99_ms", "errors")),
    "api-read": Bench(
        "bench.api_read", ("reads_per_s", "p50_ms", "p99_ms", "paced_reads_per_s", "paced_p99_ms", "errors")
    ),
}

CORRECT: Final = ("lost", "duplicated", "reordered", "mismatched", "refused", "errors")
"""Fields that must be 0 wherever a benchmark reports them."""
