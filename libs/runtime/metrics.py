"""Prometheus metrics. Every one is declared once, at import, with its kind and meaning; `declared` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "fleetlog_"
LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; upper bounds of a histogram's buckets."""

M = TypeVar("M", Counter, Gauge, Histogram)


class Metric(msgspec.Struct, frozen=True, order=True):
    name: str
    """As Prometheus shows it; a counter's ends with ``_total``."""
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...]


registry = CollectorRegistry(auto_describe=True)
"""Our own, so that libraries' metrics do not appear in it unasked."""
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

_declared: dict[str, tuple[Metric, Counter | Gauge | Histogram]] = {}


def counter(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
    """``fleetlog_<name>_total``."""
    stem = name.removesuffix("_total")
    metric = Metric(f"{PREFIX}{stem}_total", "counter", meaning, labels)
    return _declare(metric, Counter, lambda: Counter(PREFIX + stem, meaning, labels, registry=registry))


def gauge(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
    metric = Metric(PREFIX + name, "gauge", meaning, labels)
    return _declare(metric, Gauge, lambda: Gauge(metric.name, meaning, labels, registry=registry))


def histogram(name: str, meaning: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = LATENCY) -> Histogram:
    metric = Metric(PREFIX + name, "histogram", meaning, labels)
    return _declare(
        metric, Histogram, lambda: Histogram(metric.name, meaning, labels, registry=registry, buckets=buckets)
    )


def _declare(metric: Metric, kind: type[M], make: Callable[[], M]) -> M:
    """Return the same metric for the same declaration; another one under a taken name is a mistake."""
    known, found = _declared.get(metric.name, (None, None))
    if known is None:
        found = make()
        _declared[metric.name] = metric, found
    if known not in (None, metric) or not isinstance(found, kind):
        raise ValueError(f"metric {metric.name} is already declared otherwise")
    return found


def declared() -> list[Metric]:
    return sorted(metric for metric, _ in _declared.values())
