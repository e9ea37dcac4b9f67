"""The benchmarks there are. A module has ``run(quick) -> dict`` with the fields that it reports."""

from __future__ import annotations

from typing import Final

BENCHES: Final = {
    "lane": "bench.lane",
    "lane-parts": "bench.lane_parts",
    "ingest-drain": "bench.ingest_drain",
    "sink": "bench.sink",
}
"""Module by name."""

CORRECT: Final = ("lost", "duplicated", "reordered", "mismatched", "refused", "errors")
"""Fields that must be 0 wherever a benchmark reports them."""
