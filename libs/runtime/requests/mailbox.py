"""Which partition of ``api.replies`` a process names in its requests, and which ones it reads. Pure.

The consumer group of the repliers deals the partitions out, so that each process reads little that is not meant for it.
That is all it is for: answers are recognised by their correlation id, whoever else reads them. So when the group moves
the partitions, open requests lose nothing: the new requests name a new partition, and the old one is read on, from
where it was read up to, for as long as an answer is awaited there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mailbox:
    """Offsets are those to be read next."""

    def __init__(self) -> None:
        self.own: int | None = None
        """The partition that new requests name; None: none was dealt to this process."""
        self._read: dict[int, int] = {}
        self._awaited: Counter[int] = Counter()

    def expect(self) -> int | None:
        """Take note of a new request; returns the partition that it must name, None where it cannot be made."""
        if self.own is not None:
            self._awaited[self.own] += 1
        return self.own

    def settle(self, partition: int) -> None:
        """Take note that a request which named the partition waits no more."""
        self._awaited[partition] -= 1

    def took(self, partition: int, offset: int) -> None:
        """Take note of a record that was read."""
        self._read[partition] = offset + 1

    def deal(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Take what the group deals out; returns all that must be read now, partition to offset.

        ``ends``: the dealt partitions with their present ends: what is older was not asked for by this process,
        unless it was reading there already.
        """
        if self.own not in ends:
            self.own = min(ends, default=None)
        awaited = {number for number, count in self._awaited.items() if count > 0}
        kept = {number: offset for number, offset in self._read.items() if number in awaited or number in ends}
        self._read = {**ends, **kept}
        return dict(self._read)
