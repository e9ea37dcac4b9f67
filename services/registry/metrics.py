"""What the registry tells Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime import metrics

if TYPE_CHECKING:
    from libs.runtime.lane.lane import Lane

REQUESTS = metrics.counter(
    "registry_requests",
    "Requests by what came of them: done, unchanged (it was so already), again (a repetition of one that was carried "
    "out), or the code of the refusal.",
    ("kind", "outcome"),
)
DEVICES = metrics.gauge("registry_devices", "Registered devices whose rows are served here.")
ROWS = metrics.gauge("registry_rows", "Rows that this worker keeps in memory: devices, products, API keys.")


def count(kind: str, outcome: str) -> None:
    REQUESTS.labels(kind, outcome).inc()


def measure(lane: Lane) -> None:
    """Set the gauges from the lane's own indexes: called once a second, and no row is read for it."""
    owned = lane.reads.owned()
    ROWS.set(sum(len(part.rows) for part in lane.parts.active_parts() if part.number in owned))
    DEVICES.set(sum(sum(counts.values()) for counts in lane.reads.tally().values()))
