"""Whether fetched records follow what was taken before.

A fetch that is under way while a rebalance pauses, seeks and resumes partitions can end in records that nobody takes,
and the client's position is behind them all the same: the next fetch begins after a hole, and nothing says so. Hence
whatever was fetched and not taken is sought again, before anything else of its partition is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ranges import Where


class Continuity:
    def __init__(self) -> None:
        self._open: set[Where] = set()  # touched by the fetch under way, not taken
        self._doubtful: set[Where] = set()  # left open by an earlier fetch
        self._holes: dict[Where, int] = {}  # first offset of a fetch that did not follow

    def begin(self, partitions: Iterable[Where]) -> None:
        """Begin a fetch that may move these partitions' positions; what the one before left open is doubtful now."""
        self._doubtful |= self._open
        self._open = set(partitions)

    def end(self, partitions: Iterable[Where]) -> None:
        """End the fetch: it moved the positions of these only."""
        self._open = set(partitions)

    def took(self, partition: Where) -> None:
        """Take note that every record that was fetched of the partition is taken."""
        self._open.discard(partition)

    def doubt(self, partition: Where) -> None:
        """Take note that the partition must be sought back."""
        self._doubtful.add(partition)

    def doubtful(self) -> list[Where]:
        """List the partitions to seek back, to the record that should be next."""
        return list(self._doubtful)

    def sought(self, partitions: Iterable[Where]) -> None:
        """Take note that the positions of these are right."""
        self._doubtful.difference_update(partitions)

    def follows(self, partition: Where, first: int, wanted: int, *, sparse: bool) -> bool:
        """Compare the first fetched offset with the one that should be next; False: the fetch must not be taken.

        A hole is believed when it is there again after a seek: the records were deleted, or transaction markers.
        ``sparse``: the topic is compacted, holes are usual.
        """
        if partition in self._doubtful:
            return False
        if first > wanted and not sparse and self._holes.get(partition) != first:
            self._holes[partition] = first
            return False
        self._holes.pop(partition, None)
        return True
