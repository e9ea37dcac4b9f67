"""How often something may be tried, by whoever it is: token buckets of bounded memory. Pure."""

from __future__ import annotations

import math

CAPACITY = 10_000
"""Names that are remembered; of more, those that were quiet longest are forgotten first."""


class Allowance:
    """Each name may do ``burst`` at once and ``rate`` per second in the long run."""

    def __init__(self, rate: float, burst: int, capacity: int = CAPACITY) -> None:
        self._rate, self._burst, self._capacity = rate, burst, capacity
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> int:
        """Take one; returns 0, or after how many seconds there is one again. ``now``: seconds."""
        level, since = self._levels.pop(name, (float(self._burst), now))
        level = min(float(self._burst), level + max(0.0, now - since) * self._rate)
        wait = 0 if level >= 1 else math.ceil((1 - level) / self._rate)
        while len(self._levels) >= self._capacity:
            del self._levels[next(iter(self._levels))]
        self._levels[name] = (level if wait else level - 1, now)
        return wait
