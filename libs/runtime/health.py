"""What a process says of itself: ready to work, and alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class Verdict(msgspec.Struct, frozen=True):
    """Answer of a health check; ``reason`` tells people why not."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


Check: TypeAlias = Callable[[], bool | Verdict]
"""Called from the ops server's threads: it reads what others wrote and waits for nothing."""


class Progress:
    """Alive means: no lag, or progress under it. A process that only waits is alive, one that is stuck is not.

    ``patience``: seconds that lag may stand still.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._done: int | None = None
        self._still_since: float | None = None

    def observe(self, lag: int, done: int, now: float) -> bool:
        """``lag``: what waits; ``done``: any count that moves with each piece of work; ``now``: monotonic seconds.

        Observations may come at any interval: only two of them with the same ``done`` and lag between count as
        standing still, so the first one after a long silence is never held against the process.
        """
        moved, self._done = done != self._done, done
        if lag <= 0 or moved:
            self._still_since = None
        elif self._still_since is None:
            self._still_since = now
        return self._still_since is None or now - self._still_since < self.patience
