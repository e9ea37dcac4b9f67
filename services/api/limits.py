"""How much one caller may ask for: a token bucket for each API key, and for failures one for each address."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.runtime import metrics

from .allowance import Allowance
from .problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

BODY: Final = 1 << 20
"""Bytes of a request's body."""
BULK_BODY: Final = 8 << 20
"""Bytes of a bulk registration: 10,000 devices with tags and some attributes."""

LIMITED = metrics.counter("api_rate_limited", "Requests refused since the API key had made too many.", ("key_id",))

FAILURES_LIMITED = metrics.counter(
    "api_failures_limited", "Requests without valid credentials from addresses that had sent too many of those."
)


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


class Strangers:
    """Whoever shows no credentials, or wrong ones: each address may do so ``burst`` times, and ``rate`` times a second.

    Right credentials always pass, also from an address that has used this up: behind one address may be a whole site,
    which one device with an old secret must not lock out. Guessing gains nothing by that: what is looked for has 256
    random bits. Of addresses, `allowance.CAPACITY` are remembered. ``clock``: monotonic seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._allowance, self._clock = Allowance(rate, burst), clock

    def problem(self, address: str, refused: Problem) -> Problem:
        """Return what an address is told that was refused now: that, or ``rate_limited``."""
        wait = self._allowance.take(address, self._clock())
        if not wait:
            return refused
        FAILURES_LIMITED.inc()
        return Problem("rate_limited", f"too many failures from {address}", headers={"Retry-After": str(wait)})
