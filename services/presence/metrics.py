"""What the presence service tells Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from libs.runtime import metrics

if TYPE_CHECKING:
    from libs.runtime.lane.lane import Lane
    from libs.topics.messages.presence import PresenceChanged

TRANSITIONS = metrics.counter("presence_transitions", "Changes of devices' sessions, by cause.", ("cause",))
ONLINE = metrics.gauge("presence_devices_online", "Devices with an open channel of a source, served here.", ("source",))
ROWS = metrics.gauge("presence_rows", "Devices that this worker keeps in memory.")


def count(changed: PresenceChanged) -> None:
    TRANSITIONS.labels(changed.cause).inc()


def measure(lane: Lane) -> None:
    """Set the gauges from the lane's own indexes: called once a second, and no row is read for it."""
    owned = lane.reads.owned()
    parts = [part for part in lane.parts.active_parts() if part.number in owned]
    ROWS.set(sum(len(part.rows) for part in parts))
    online: Counter[str] = Counter()
    for part in parts:
        if part.index is not None:
            online.update({str(source): devices for (_, source), devices in part.index.sizes().items()})
    ONLINE.clear()
    for source, devices in online.items():
        ONLINE.labels(source).set(devices)
