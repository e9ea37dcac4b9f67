"""Which records of each partition were handed out, begun and acknowledged: contiguous ranges, slice by slice."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .part import Record

Where: TypeAlias = tuple[str, int]
"""Topic and partition."""


class Slice(Protocol):
    """Records of one partition, in order; ``offset`` is the last one's."""

    acked: bool

    @property
    def records(self) -> Sequence[Record]: ...
    @property
    def previous(self) -> int:
        """End of what was handed out before."""

    @property
    def tp(self) -> Where: ...
    @property
    def offset(self) -> int: ...


class LostSlice(Exception):
    """A slice was handed out and never begun: what it held must be fetched again."""


class Ranges:
    def __init__(self) -> None:
        self._begun: dict[Where, deque[Slice]] = {}  # in order, not yet committable
        self._committable: dict[Where, int] = {}
        self._expected: dict[Where, int] = {}  # next offset to begin
        self._tail: dict[Where, int] = {}  # end of what was handed out
        self.backlog = 0
        """Records handed out, not yet acknowledged."""
        self.settled = 0
        """Records acknowledged since the start."""

    def seek(self, tp: Where, offset: int) -> None:
        """Expect ``offset`` next."""
        self._tail[tp] = offset
        self._expected.setdefault(tp, offset)

    def tail(self, tp: Where) -> int | None:
        """Return the offset that should be handed out next; None before `seek`."""
        return self._tail.get(tp)

    def hand_out(self, tp: Where, records: Sequence[Record]) -> int:
        """Count records in; returns the end of those handed out before them."""
        previous = self._tail[tp]
        self._tail[tp] = max(previous, records[-1].offset + 1)
        self.backlog += len(records)
        return previous

    def begin(self, one: Slice) -> Sequence[Record]:
        """Register a slice and return those of its records that were not begun before. Raises `LostSlice`."""
        tp, records, expected = one.tp, one.records, self._expected.get(one.tp)
        if expected is None or one.previous > expected:
            raise LostSlice(f"{tp}: {expected} is next, a slice follows {one.previous}")
        self._begun.setdefault(tp, deque()).append(one)
        self._expected[tp] = max(expected, one.offset + 1)
        if records[0].offset >= expected:
            return records
        return [record for record in records if record.offset >= expected]

    def forget(self, one: Slice) -> None:
        """Stop waiting for a slice that was given up; its offsets stay uncommitted."""
        self.backlog -= len(one.records)

    def acknowledge(self, one: Slice) -> None:
        """Let the slice be committed, as soon as all before it are."""
        one.acked = True
        self.backlog -= len(one.records)
        self.settled += len(one.records)
        begun = self._begun.get(one.tp)
        while begun and begun[0].acked:
            self._committable[one.tp] = begun.popleft().offset + 1

    def committable(self, tp: Where) -> int | None:
        """Return the next offset that may be committed."""
        return self._committable.get(tp)

    def touched(self) -> list[Where]:
        """List the partitions that have something to commit."""
        return list(self._committable)

    def lag(self, highwater: Callable[[Where], int]) -> int:
        """Count the records up to ``highwater`` that are not acknowledged, in partitions whose position is known."""
        return sum(
            max(highwater(tp) - self._committable.get(tp, expected), 0) for tp, expected in self._expected.items()
        )

    def reset(self) -> None:
        """Forget every partition: positions will be sought again."""
        for state in (self._begun, self._committable, self._expected, self._tail):
            state.clear()
        self.backlog = 0
