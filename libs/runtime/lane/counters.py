"""What a lane counts, and the breaker that turns a flood of dead letters into a stop."""

from __future__ import annotations

from collections import deque

import msgspec

from .fail import die


class Counters(msgspec.Struct):
    """Monotone since the process started. `worker` publishes each under the meaning in `MEANINGS`."""

    events: int = 0
    skipped: int = 0
    unknown: int = 0
    outputs: int = 0
    rows: int = 0
    dead_letters: int = 0
    broadcasts: int = 0
    swept: int = 0
    abandoned: int = 0
    purged: int = 0
    ticks: int = 0
    ticks_lost: int = 0
    lost: int = 0


MEANINGS = {
    "events": "records taken from the inbox, replays included",
    "skipped": "records that were recorded already: replays",
    "unknown": "records of a type that this version does not know",
    "outputs": "records sent to output topics",
    "rows": "rows sent to the changelog",
    "dead_letters": "records refused and sent to the dead letters",
    "broadcasts": "broadcasts folded into the shared row",
    "swept": "rows visited by sweeps of broadcasts",
    "abandoned": "sweeps given up at a rebalance or stop; a replay resumes them",
    "purged": "tombstones of deleted rows dropped from the table",
    "ticks": "ticks written into the inbox by this worker",
    "ticks_lost": "ticks that Kafka did not take; the next one stands for them",
    "lost": "records of the inbox that retention deleted before they were folded",
}


class Breaker:
    """Stops the process when more than ``limit`` of the last ``window`` events became dead letters.

    Events are counted slice by slice, so a window may be longer by one slice.
    """

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window = limit, window
        self._seen: deque[int] = deque()

    def trip(self, event: int, why: str) -> None:
        """Take note of a dead letter from the slice that ends with the ``event``-th event."""
        seen = self._seen
        seen.append(event)
        while seen[0] <= event - self.window:
            seen.popleft()
        if len(seen) > self.limit:
            die("breaker: %d dead letters in the last %d events, the newest: %s", len(seen), self.window, why)
