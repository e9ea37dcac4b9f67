"""Replay as an operation: a range of an inbox folded once more, in memory, by the code that folds it live.

Nothing is produced and nothing committed. What comes of it is what must be found in the changelog and in the logs:
`compare` says where they differ. It is as true as the range is whole: an inbox of which retention took the beginning
(or compaction anything) can only be replayed from rows that were kept with their offset, which nothing does yet.
"""

from __future__ import annotations

import sys
from copy import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from .counters import Breaker, Counters
from .model import Output
from .part import Part
from .passage import passage
from .pipeline import Pipeline
from .rows import Cell, Codec, Row, SharedRow, cell_name, is_dead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .lane import Lane
    from .part import Change, Record
    from .producer import Deliveries


class Replayed(msgspec.Struct):
    """What an inbox makes of its rows and what it says; by partition of the inbox. ``revision`` is 0 everywhere."""

    rows: dict[int, dict[bytes, Row]]
    """Those that live, by key."""
    shared: dict[int, SharedRow[Any]]
    cells: dict[int, dict[str, Cell[Any]]]
    """Those that there are, by name."""
    outputs: dict[str, list[Output]]
    """By topic, in the order of the inbox; the dead letters are among them."""
    counters: Counters
    codec: Codec


class _Recorder:
    """The lane's producer, as far as a replay goes: keeps what is said, and everything is delivered at once."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.outputs: dict[str, list[Output]] = {}

    def say(self, outputs: Sequence[Output], _deliveries: Deliveries) -> None:
        for output in outputs:
            self.outputs.setdefault(output[0], []).append(output)

    def send(self, _topic: str, _messages: Sequence[Change], _deliveries: Deliveries, _partition: int) -> None:
        """Rows are taken from the partition in the end."""

    def poll(self) -> None:
        self._lane.advance()


class _Slice(SimpleNamespace):
    """A slice as `passage` wants it; nobody waits for its acknowledgement."""

    message = SimpleNamespace(generation_id=1)
    """As of a group's first assignment: from there on revisions take 9 bytes of a row, which its limit counts."""

    def ack(self) -> None:
        """Nothing is committed."""


class Replay:
    """Folds slices as they come; `result` may be asked at any time between two."""

    def __init__(self, lane: Lane, changelog: Mapping[int, Sequence[Record]] | None = None) -> None:
        """``lane``: of an app that was built, not started; it stays as it is.

        ``changelog``: records to start from, by partition, as recovery takes them. The range must then begin no later
        than the offset that was committed when they were all there were.
        """
        self._lane = twin = copy(lane)
        twin.counters, twin.breaker = Counters(), Breaker(sys.maxsize, 1)  # a flood of letters is part of the result
        twin.pipeline, twin.inbox_id = Pipeline(lane.pipeline.changelog), ""
        self._recorder = _Recorder(twin)
        twin.app = SimpleNamespace(lane_producer=self._recorder)
        self._parts: dict[int, Part] = {}
        for number, records in (changelog or {}).items():
            self._recover(number, records)

    def _recover(self, number: int, records: Sequence[Record]) -> None:
        part = self._part(number)
        if records:
            part.apply(records)
            for _ in part.derive(self._lane.codec):
                continue

    def _part(self, number: int) -> Part:
        if number not in self._parts:
            self._parts[number] = Part(number, self._lane.new_index())
        return self._parts[number]

    def fold(self, partition: int, records: Sequence[Record]) -> None:
        """Fold the partition's next records, sweeps included."""
        self._lane.counters.events += len(records)
        for _ in passage(self._lane, self._part(partition), _Slice(), records):
            continue

    def result(self) -> Replayed:
        lane, parts = self._lane, self._parts
        return Replayed(
            rows={number: living(part, lane.codec) for number, part in parts.items()},
            shared={number: plain(lane.shared_of(part)) for number, part in parts.items()},
            cells={number: cells(part, lane.codec) for number, part in parts.items()},
            outputs=self._recorder.outputs,
            counters=lane.counters,
            codec=lane.codec,
        )


def replay(
    lane: Lane,
    slices: Iterable[tuple[int, Sequence[Record]]],
    changelog: Mapping[int, Sequence[Record]] | None = None,
) -> Replayed:
    """Fold ``(partition, records)`` slices, of each partition in order. See `Replay`; `history.read` reads them."""
    made = Replay(lane, changelog)
    for partition, records in slices:
        made.fold(partition, records)
    return made.result()


def living(part: Part, codec: Codec) -> dict[bytes, Row]:
    """Return the rows that are not deleted, without their revisions."""
    found = {}
    for key, stored in part.items():
        if not is_dead(stored):
            row = codec.thaw(stored) if isinstance(stored, bytes) else stored
            found[key] = msgspec.structs.replace(row, revision=0)
    return found


def cells(part: Part, codec: Codec) -> dict[str, Cell[Any]]:
    """Return the cells by name, without their revisions."""
    found = {}
    for key, stored in part.everything():
        name = cell_name(key)
        row = codec.thaw_cell(stored) if name is not None and isinstance(stored, bytes) else stored
        if name is not None and isinstance(row, Cell):
            found[name] = msgspec.structs.replace(row, revision=0)
    return found


def plain(shared: SharedRow[Any]) -> SharedRow[Any]:
    """Return the shared row without its revision and without the inbox's id, of which an inbox says nothing."""
    return msgspec.structs.replace(shared, revision=0, inbox="")
