"""Recognises what a broker delivers again after a crash. Pure.

The broker sends everything unacknowledged again, in order, before anything new, with DUP=1 and the same packet ids.
`notes` reads what may be in Kafka already; here it becomes a multiset of fingerprints, and each record of a DUP=1
message is absorbed by at most one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import STAMP

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUT = -STAMP


def fingerprint(value: bytes) -> int:
    """All of a record but its time of receipt: topic levels, packet id, payload. 64 bits, valid in this process."""
    return hash(value[:_CUT])


class Filter:
    """Multiset of fingerprints: a set, and counts only for the few that occur twice."""

    __slots__ = ("_more", "_once", "size")

    def __init__(self) -> None:
        self._once: set[int] = set()
        self._more: dict[int, int] = {}
        self.size = 0

    def add(self, values: Iterable[bytes]) -> None:
        once, more = self._once, self._more
        for value in values:
            found = hash(value[:_CUT])
            if found in once:
                more[found] = more.get(found, 0) + 1
            else:
                once.add(found)
            self.size += 1

    def absorb(self, value: bytes) -> bool:
        """Whether the record is in Kafka already; a fingerprint serves once."""
        found = fingerprint(value)
        if found not in self._once:
            return False
        if left := self._more.get(found, 0):
            self._more[found] = left - 1
        else:
            self._once.discard(found)
        return True
