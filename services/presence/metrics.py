"""What the presence service tells Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from libs.runtime import metrics

from .leases import end_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Gauge

    from libs.runtime.lane.lane import Lane
    from libs.topics.messages.presence import PresenceChanged

    from .model import Sources

TRANSITIONS = metrics.counter("presence_transitions", "Changes of devices' sessions, by cause.", ("cause",))
DEVICES = metrics.gauge("presence_devices", "Devices served here, by the state of their session.", ("state",))
ONLINE = metrics.gauge(
    "presence_devices_online", "Devices with an open channel of a source that is watched, served here.", ("source",)
)
UNKNOWN = metrics.gauge(
    "presence_devices_doubted", "Devices with an open channel of a source whose lease lapsed, served here.", ("source",)
)
LEASE = metrics.gauge(
    "presence_lease_seconds",
    "Seconds until a source's lease lapses, by the ticks of the partitions served here; below zero: since when nobody "
    "knows whether its devices are connected.",
    ("source",),
)
ROWS = metrics.gauge("presence_rows", "Devices that this worker keeps in memory.")


def count(changed: PresenceChanged) -> None:
    TRANSITIONS.labels(changed.cause).inc()


def measure(lane: Lane) -> None:
    """Set the gauges from the lane's own indexes: called once a second, and no row is read for it."""
    owned = lane.reads.owned()
    parts = [part for part in lane.parts.active_parts() if part.number in owned]
    ROWS.set(sum(len(part.rows) for part in parts))
    states: Counter[str] = Counter()
    for counts in lane.reads.tally().values():
        for value, devices in counts.items():
            states[value[-1]] += devices
    online: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    left: dict[str, float] = {}
    for part in parts:
        sources: Sources = lane.shared_of(part).state
        for source, lease in sources.leases.items():
            left[source] = min(left.get(source, float("inf")), (end_of(lease, sources.gaps) - sources.now) / 1000)
        if part.index is not None:
            for (_, name), devices in part.index.sizes().items():
                (doubted if name in sources.doubts else online)[str(name)] += devices
    _set(DEVICES, states)
    _set(ONLINE, online)
    _set(UNKNOWN, doubted)
    _set(LEASE, left)


def _set(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Set a gauge of one label, and drop what is gone."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)
