"""How long after a device's publish a query finds the row: measured by asking again and again. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.truth import Truth


class Latency(msgspec.Struct, frozen=True):
    """Seconds from a publish to the answer in which its row was first found."""

    messages: int
    p50: float
    p99: float
    longest: float
    interval: float
    """Between two polls, in the median. A row may have been there for that long before it was seen."""


class Sightings:
    """The moment at which each message was first seen, and the moments of the polls."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self._polls: list[float] = []

    def add(self, message_ids: Iterable[str], at: float) -> None:
        """Enter the answer to a poll, received at ``at`` (Unix seconds)."""
        self._polls.append(at)
        for message_id in message_ids:
            self.seen.setdefault(message_id, at)

    def latency(self, truth: Truth) -> Latency | None:
        """Evaluate the messages that the fleet sent; None where none was seen."""
        waits = sorted(at - truth.sent[name].sent_at for name, at in self.seen.items() if name in truth.sent)
        if not waits:
            return None
        gaps = sorted(later - earlier for earlier, later in zip(self._polls, self._polls[1:], strict=False))
        interval = percentile(gaps, 50) if gaps else 0.0
        return Latency(len(waits), percentile(waits, 50), percentile(waits, 99), waits[-1], interval)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that ``percent`` per cent of the values do not exceed (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
