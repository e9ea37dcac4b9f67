"""Counts of one partition's rows by a value that each of them has, derived like the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Tallied, TallyOf


class Tally:
    """How many live rows have each value. Contract: after every slice it equals the one recounted from the rows."""

    def __init__(self, value_of: TallyOf) -> None:
        self._value_of = value_of
        self.clear()

    def clear(self) -> None:
        self._of: dict[bytes, Tallied] = {}
        self._counts: dict[Tallied, int] = {}
        self._same: dict[Tallied, Tallied] = {}  # rows of equal value keep one object

    def put(self, key: bytes, row: Any) -> None:
        """Set the key's row; None: it is gone."""
        new = None if row is None else self._value_of(key, row)
        old = self._of.get(key)
        if new == old:
            return
        if old is not None:
            self._leave(old)
        if new is None:
            del self._of[key]
            return
        self._of[key] = self._same.setdefault(new, new)
        self._counts[new] = self._counts.get(new, 0) + 1

    def _leave(self, value: Tallied) -> None:
        left = self._counts[value] - 1
        if left:
            self._counts[value] = left
        else:
            del self._counts[value], self._same[value]

    def counts(self) -> dict[Tallied, int]:
        """Return a copy; values that no row has are not in it."""
        return dict(self._counts)
