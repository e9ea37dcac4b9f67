"""Counters become metrics: what was counted since the last second is added."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from libs.runtime import metrics
from libs.runtime.lane.counters import MEANINGS
from libs.runtime.lane.worker import Publisher
from tests.unit.runtime.lane.lab import INBOX, Lab, event, events


def value(name: str) -> float | None:
    return metrics.registry.get_sample_value(f"fleetlog_lane_{name}", {"service": "things", "table": "things"})


def test_what_a_lane_counts_is_published_once() -> None:
    lab = Lab()
    reads: Any = SimpleNamespace(owned=lambda: frozenset({0, 2}))
    lab.lane.reads = reads
    ranges = SimpleNamespace(backlog={INBOX: 3}.__getitem__)
    app: Any = SimpleNamespace(consumer=SimpleNamespace(lag={INBOX: 7}.__getitem__, ranges=ranges))
    publish = Publisher(app)
    lab.feed(*events(b"k", range(3)))
    publish(lab.lane)
    publish(lab.lane)
    lab.feed(event(b"k", 3))
    publish(lab.lane)
    assert value("events_total") == 4
    assert value("outputs_total") == 4
    assert (value("lag"), value("backlog"), value("partitions"), value("slices_in_flight")) == (7, 3, 2, 2)


def test_every_counter_is_a_metric_with_its_meaning() -> None:
    declared = {metric.name: metric.meaning for metric in metrics.declared()}
    for name, meaning in MEANINGS.items():
        assert meaning in declared[f"fleetlog_lane_{name}_total"]
