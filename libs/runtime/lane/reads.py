"""Read side of a lane: rows of owned keys, and which partitions are owned."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from libs.runtime.partitioner import partition_of

from .rows import Dead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .lane import Lane
    from .listing import Listing
    from .model import Tallied, Term, View


class NotOwned(LookupError):
    """The key's partition is not served by this worker, not yet or not any more: ask its owner."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} is not served here")
        self.partition = partition


class Reads:
    def __init__(self, lane: Lane, partitions: int) -> None:
        self._lane, self._partitions = lane, partitions

    def partition(self, key: bytes) -> int:
        """Where a key lives, on every worker and in every topic of the installation."""
        return partition_of(key, self._partitions)

    def owned(self) -> frozenset[int]:
        """Partitions that are assigned here, recovered and indexed; empty during a rebalance."""
        if not self._lane.app.tables.actives_ready:
            return frozenset()
        return frozenset(part.number for part in self._lane.parts.active_parts() if part.built)

    def get(self, key: bytes) -> Any | None:
        """Return the row as of the last folded event, which may be ahead of the changelog by milliseconds, or None.

        Raises `NotOwned`.
        """
        number = self.partition(key)
        if number not in self.owned():
            raise NotOwned(number)
        row = self._lane.parts.part(number).peek(key)
        if isinstance(row, bytes):
            row = self._lane.codec.thaw(row)
        return None if isinstance(row, Dead) else row

    def tally(self) -> dict[int, dict[Tallied, int]]:
        """Count the rows of each owned partition by the lane's ``tally``: partition to value to rows, as of now.

        Nothing is counted where the lane has no ``tally``. Costs as much as there are values, not rows.
        """
        found = {}
        for number in self.owned():
            index = self._lane.parts.part(number).index
            found[number] = {} if index is None or index.tally is None else index.tally.counts()
        return found

    def page(self, numbers: Iterable[int], term: Term, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        """List keys in order: up to ``limit`` under the term that begin with ``prefix`` and come behind ``after``.

        Of these partitions, which must be owned, in a lane with ``listing``. Costs as much as there are keys in the
        page, and a search in each partition.
        """
        return list(islice(merge(*(self._listing(number).after(term, prefix, after) for number in numbers)), limit))

    def _listing(self, number: int) -> Listing:
        index = self._lane.parts.part(number).index
        assert index is not None
        assert index.listing is not None
        return index.listing

    def show(self, view: View, key: bytes) -> Any | None:
        """Return what a view makes of the key's row and of its partition's shared data. Raises `NotOwned`."""
        row = self.get(key)
        lane = self._lane
        return view(key, row, lane.reference(lane.parts.part(self.partition(key))))
