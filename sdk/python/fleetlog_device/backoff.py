"""How long to wait before the next attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, with full jitter: a fleet that lost its hub at one moment comes back spread over the whole wait.

    See "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
    """

    first: float = 1.0
    """Seconds: the most that is waited before the second attempt. It doubles with each."""
    longest: float = 60.0
    """Seconds."""
    steady: float = 10.0
    """Seconds that a connection has to last for the waits to begin anew."""

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.longest:
            raise ValueError("a backoff needs 0 < first <= longest")

    def wait(self, failures: int, chance: float) -> float:
        """Seconds after so many failures in a row (from 1), where ``chance`` is uniform in 0 to 1."""
        return chance * min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
