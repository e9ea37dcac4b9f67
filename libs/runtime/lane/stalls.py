"""Which partitions stand still although Kafka has more of them: the rule; `watch` asks Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ranges import Where


class Standing(msgspec.Struct, frozen=True):
    """A partition at one moment."""

    end: int
    """The offset of the next record that anybody will write into it."""
    done: int
    """The offset of the next record to acknowledge."""
    progress: tuple[int, ...]
    """Anything that moves with work on it."""


def in_inbox(end: int, done: int, *, tail: int, highwater: int, cycles: int, swept: int) -> Standing:
    """Make the standing of an inbox's partition.

    ``tail``: end of what was handed to the lane; ``highwater``: the end as of the last fetch; ``cycles``: completed
    fetches; ``swept``: rows visited. Where fetches know the end and bring nothing, no records are left before it: they
    were deleted, or are a transaction's markers. That is no standstill as long as fetches come back.
    """
    nothing_left = tail <= done and highwater >= end
    return Standing(end, done, (done, tail, swept, cycles if nothing_left else -1))


class Stalls:
    """Counts how long each partition stood still.

    ``patience``: seconds that it may. ``longest``: what the time between two observations counts at most, so that a
    process that was not running is not blamed for it.
    """

    def __init__(self, patience: float, longest: float) -> None:
        self.patience, self.longest = patience, longest
        self._still: dict[Where, tuple[tuple[int, ...], float]] = {}
        self._observed: float | None = None

    def observe(self, standings: Mapping[Where, Standing], now: float) -> list[Where]:
        """Return the partitions that wait without progress for too long. ``now``: monotonic seconds.

        A partition that is not among ``standings`` begins anew.
        """
        passed = 0.0 if self._observed is None else min(now - self._observed, self.longest)
        before, self._still, self._observed = self._still, {}, now
        for tp, one in standings.items():
            if one.done < one.end:
                progress, seconds = before.get(tp, ((), 0.0))
                self._still[tp] = (one.progress, seconds + passed if progress == one.progress else 0.0)
        return [tp for tp, (_, seconds) in self._still.items() if seconds >= self.patience]
