"""How a fan-out that somebody watches goes on: when it is looked at again, what is told, and when it is over. Pure.

The hub's log says that something has moved; what is so then, the owners are asked. Times are seconds of any clock that
only goes forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .fanout_counts import Seen, Started
    from .fanout_documents import FanOut

LEAST: Final = 0.3
"""From the end of a look to the next one at least, however much moves."""
REST: Final = 2.0
"""So many times as long as a look took is rested: many members cost no more than a third of the time."""
MOST: Final = 3.0
"""That is rested at most."""
AGAIN: Final = 1.0
"""Until the next look where one did not show all: an owner did not answer, or the store is a moment behind."""
SETTLING: Final = 5.0
"""For which the store may be a moment behind after something has moved."""
STILL: Final = 10.0
"""Without a change after which a fan-out without open members is over, where not every member can be counted."""
IDLE: Final = 15.0
"""Until the next look where nothing is heard at all: the log is not what counts are made of."""


class Course:
    """``counts`` is what is told now; nothing follows when it is ``over``."""

    def __init__(self, first: Seen, now: float) -> None:
        self._seen = first
        self._began = self._ended = self._changed_at = self._moved_at = now
        self._moved = True
        """Something has moved since the last look began. What did before anybody listened is not heard."""
        self._failed = False
        self.counts = first.counts
        self.over = self._is_over(now)

    @property
    def started(self) -> Started | None:
        """How it began, where that changes no more."""
        return self._seen.started if self._seen.begun else None

    def hear(self, now: float) -> None:
        """Take note that something has moved."""
        self._moved, self._moved_at = True, now

    def look(self, now: float) -> None:
        """Begin a look."""
        self._moved, self._began = False, now

    def see(self, seen: Seen, now: float) -> bool:
        """End a look; returns whether there is something new to tell."""
        self._ended, self._failed, self._seen = now, False, seen
        changed = self._tell(seen.counts, now)
        self.over = self._is_over(now)
        return changed or self.over

    def miss(self, partitions: Iterable[int], now: float) -> bool:
        """End a look in which these did not answer, or, without any, nothing new was told; returns as `see`.

        Their members are then counted as they were.
        """
        self._ended, self._failed = now, True
        return self._tell(replace(self.counts, missing_partitions=sorted(partitions)), now)

    def due(self) -> float:
        """Return when the next look begins, as far as is known now."""
        if self._failed:
            return self._ended + AGAIN
        rested = self._ended + min(MOST, max(LEAST, REST * (self._ended - self._began)))
        if self._moved:
            return rested
        settling = self._ended - max(self._moved_at, self._changed_at) < SETTLING
        if not self._seen.sure and (settling or not self.counts.open):
            return max(rested, self._ended + AGAIN)
        return self._ended + IDLE

    def _tell(self, counts: FanOut, now: float) -> bool:
        if counts == self.counts:
            return False
        self.counts, self._changed_at = counts, now
        return True

    def _is_over(self, now: float) -> bool:
        seen = self._seen
        return not seen.counts.open and (seen.whole or (seen.begun and now - self._changed_at >= STILL))
