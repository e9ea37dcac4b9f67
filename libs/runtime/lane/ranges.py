"""Which records of each partition were handed out, begun and acknowledged: contiguous ranges, slice by slice."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


class Ranges:
    def __init__(self) -> None:
        self._begun: dict[Where, deque[Slice]] = {}  # in order, not yet committable
        self._committable: dict[Where, int] = {}
        self._expected: dict[Where, int] = {}  # next offset to begin
        self._tail: dict[Where, int] = {}  # end of what was handed out
        self._sought: dict[Where, int] = {}  # highest offset that was ever sought

    def seek(self, tp: Where, offset: int) -> None:
        """Hand out ``offset`` next. Below it all is committed, so nothing older is waited for any more."""
        self._tail[tp] = offset
        self._expected[tp] = max(self._expected.get(tp, offset), offset)
        self._sought[tp] = max(self._sought.get(tp, offset), offset)

    def tail(self, tp: Where) -> int | None:
        """Return the offset that should be handed out next; None before `seek`."""
        return self._tail.get(tp)

    def hand_out(self, tp: Where, records: Sequence[Record]) -> int:
        """Take note of records; returns the end of those handed out before them."""
        previous = self._tail[tp]
        self._tail[tp] = max(previous, records[-1].offset + 1)
        return previous

    def begin(self, one: Slice) -> Sequence[Record] | None:
        """Register a slice and return those of its records that were not begun before.

        None: one before it was handed out and never begun, so this one is given up and the next must be that one.
        """
        tp, records, expected = one.tp, one.records, self._expected.get(one.tp)
        if expected is None:
            return None
        if one.previous > expected:
            self._tail[tp] = expected
            return None
        self._begun.setdefault(tp, deque()).append(one)
        self._expected[tp] = max(expected, one.offset + 1)
        if records[0].offset >= expected:
            return records
        return [record for record in records if record.offset >= expected]

    def acknowledge(self, one: Slice) -> None:
        """Let the slice be committed, as soon as all before it are."""
        one.acked = True
        begun = self._begun.get(one.tp)
        while begun and begun[0].acked:
            end = begun.popleft().offset + 1
            self._committable[one.tp] = max(end, self._committable.get(one.tp, end))

    def committable(self, tp: Where) -> int | None:
        """Return the next offset that may be committed."""
        return self._committable.get(tp)

    def touched(self) -> list[Where]:
        """List the partitions that have something to commit."""
        return list(self._committable)

    def done(self) -> dict[Where, int]:
        """Return the next offset to acknowledge, of each partition whose position is known."""
        return {tp: max(offset, self._committable.get(tp, offset)) for tp, offset in self._sought.items()}

    def backlog(self, topic: str | None = None) -> int:
        """Count the records handed out and not yet acknowledged, of all topics or of one."""
        return sum(max(self._tail[tp] - done, 0) for tp, done in self.done().items() if topic in (None, tp[0]))

    def lag(self, highwater: Callable[[Where], int], topic: str | None = None) -> int:
        """Count the records up to ``highwater`` that are not acknowledged, in partitions whose position is known."""
        return sum(max(highwater(tp) - done, 0) for tp, done in self.done().items() if topic in (None, tp[0]))

    def keep(self, partitions: Iterable[Where]) -> None:
        """Forget all other partitions."""
        kept = set(partitions)
        for state in self._states:
            for tp in state.keys() - kept:
                state.pop(tp)

    def reset(self) -> None:
        """Forget every partition: positions will be sought again."""
        self.keep(())

    @property
    def _states(self) -> tuple[dict[Where, Any], ...]:
        return self._begun, self._committable, self._expected, self._tail, self._sought
