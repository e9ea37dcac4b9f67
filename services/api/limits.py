"""How much one caller may ask for: a token bucket for each API key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.runtime import metrics

from .problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

BODY: Final = 1 << 20
"""Bytes of a request's body."""
BULK_BODY: Final = 8 << 20
"""Bytes of a bulk registration: 10,000 devices with tags and some attributes."""

LIMITED = metrics.counter("api_rate_limited", "Requests refused since the API key had made too many.", ("key_id",))


class Buckets:
    """Each holds up to ``burst`` requests and refills by ``rate`` a second. ``clock``: monotonic seconds."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """Take one request out. Raises `Problem` ``rate_limited``, which says when there is one again."""
        now = self._clock()
        level, since = self._levels.get(key_id, (float(self._burst), now))
        level = min(float(self._burst), level + (now - since) * self._rate)
        if level < 1:
            LIMITED.labels(key_id).inc()
            wait = str(math.ceil((1 - level) / self._rate))
            said = f"the key has used up {self._burst} requests at once and {self._rate:g} a second"
            raise Problem("rate_limited", said, headers={"Retry-After": wait})
        self._levels[key_id] = level - 1, now
