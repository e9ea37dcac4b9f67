"""Work: folding a slice of events into a partition's rows, and everything that must then be sent.

Nothing leaves the process here. An event is *recorded* (its offset stored in the row) when it changed the row, produced
an output or was dead-lettered. An event without any effect is not; meeting it again on a replay has no effect either,
since row and shared state are then what they were (`passage` skips what lies before the last broadcast).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from libs.topics.codec import UnknownKind
from libs.topics.identity import BROADCAST_KEY

from .letters import MAX_KEY, BadKey, OutputTooLarge, RowTooLarge, letter, reason_of
from .model import ANY_PARTITION, At
from .rows import SHARED_KEY, Cell, Dead, Row, SharedRow, is_dead, prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .lane import Lane
    from .model import Decode, Output
    from .part import Change, Part, Record


class Visit(NamedTuple):
    """One row's visit by a broadcast; reads like a record under the row's key."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int


class Work:
    """Effects of one slice on one partition, not yet sent."""

    __slots__ = (
        "_cells",
        "_dead_prefix",
        "_deleted",
        "_frames",
        "_lane",
        "_live_prefix",
        "_moved",
        "_shared_frame",
        "outputs",
        "part",
        "refusals",
        "revision",
        "skipped",
        "unknown",
    )

    def __init__(self, lane: Lane, part: Part, generation: int) -> None:
        self._lane, self.part, self.revision = lane, part, part.next_revision(generation)
        self._live_prefix, self._dead_prefix = prefix(self.revision), prefix(self.revision, dead=True)
        self._frames: dict[bytes, bytes] = {}
        self._moved: dict[bytes, Row] = {}
        """Rows that may be found by something else now, in a lane whose rows have heads."""
        self._shared_frame: bytes | None = None
        self._cells: dict[bytes, bytes] = {}
        self._deleted = False
        self.outputs: list[Output] = []
        self.refusals: list[str] = []
        self.skipped = self.unknown = 0

    def fold(self, records: Sequence[Record], start: int, end: int) -> int:
        """Fold keyed records of this range; returns the index of the next broadcast in it, else its end."""
        return self._run(records, start, end, self._lane.decode, swept=False)

    def visit(self, keys: Iterable[bytes], record: Record, event: Any) -> None:
        """Fold one broadcast into the rows of these keys, as far as they exist and did not record it yet."""
        rows = self.part.rows
        alive = [key for key in keys if key in rows and not is_dead(rows[key])]
        visits = [Visit(key, record.value, record.offset, record.timestamp) for key in alive]
        self._run(visits, 0, len(visits), lambda _: event, swept=True)

    # One loop without calls that are not needed, since everything here happens once per event.
    def _run(  # noqa: C901, PLR0912, PLR0915
        self, records: Sequence[Record], start: int, end: int, decode: Decode, *, swept: bool
    ) -> int:
        lane, part, frames, outbox = self._lane, self.part, self._frames, self.outputs
        rows, get, step, thaw, encode = part.rows, part.rows.get, lane.step, lane.codec.thaw, lane.codec.encode
        topic, number, shared = lane.inbox, part.number, lane.reference(part)
        max_row, max_output, head_of, moved = lane.max_row, lane.max_output, lane.head_of, self._moved
        for n in range(start, end):
            record = records[n]
            key, offset = record.key, record.offset
            if not key or not key[0]:  # a zero byte: reserved
                if key == BROADCAST_KEY:
                    return n
                self.refuse(record, key, BadKey(repr(key)))
                continue
            row = live = get(key)
            if row is not None:
                if row.__class__ is bytes:
                    row = live = thaw(row)
                    if head_of is None:
                        rows[key] = row
                if offset <= row.offset:
                    self.skipped += 1
                    continue
                if row.__class__ is Dead:
                    live = None
            try:
                event = decode(record.value)
            except UnknownKind:
                self.unknown += 1
                continue
            except Exception as error:  # noqa: BLE001 - dead-lettered
                self._give_up(record, key, live, error)
                continue
            try:
                new, outputs = step(live, event, At(topic, number, offset, record.timestamp, key, swept), shared)
                if new is live and not outputs:
                    continue
                row = Dead() if new is None else new.__copy__()  # the author's object stays as the step returned it
                row.revision, row.offset = self.revision, offset
                frame = (self._dead_prefix if new is None else self._live_prefix) + encode(row)
                # Per event and not per slice: slices end elsewhere in a replay, and it must refuse the same events.
                if len(frame) > max_row:
                    raise RowTooLarge(len(frame), max_row)  # noqa: TRY301 - refused like what a step raises
                for _, _, value, _ in outputs:
                    if value is not None and len(value) > max_output:
                        raise OutputTooLarge(len(value), max_output)  # noqa: TRY301 - as above
            except Exception as error:  # noqa: BLE001 - dead-lettered
                self._give_up(record, key, live, error)
                continue
            frames[key] = frame
            if new is None:
                self._deleted = True
            rows[key] = row if head_of is None else frame
            if head_of is not None and (new is None or live is None or head_of(new) != head_of(live)):
                moved[key] = row
            outbox += outputs
        return end

    def _give_up(self, record: Record, key: bytes, live: Row | None, error: Exception) -> None:
        """Dead-letter an event and record that it is done, without effect on the row."""
        self.refuse(record, key, error)
        row = Dead() if live is None else copy(live)
        row.revision, row.offset = self.revision, record.offset
        prefix = self._dead_prefix if live is None else self._live_prefix
        frame = self._frames[key] = prefix + self._lane.codec.encode(row)
        self.part.rows[key] = row if self._lane.head_of is None else frame
        if live is None:
            self._deleted = True
            self._moved[key] = row

    def refuse(self, record: Record, key: bytes | None, error: Exception) -> None:
        """Add a dead letter."""
        lane, topic = self._lane, self._lane.dead_letters
        value = letter(
            service=lane.service, topic=lane.inbox, partition=self.part.number, record=record, key=key, error=error
        )
        kafka_key = key if key is not None and len(key) <= MAX_KEY else None
        self.outputs.append((topic, kafka_key, value, ANY_PARTITION))
        self.refusals.append(f"{lane.inbox}-{self.part.number}-{record.offset} {reason_of(error)}")

    def share(self, shared: SharedRow[Any]) -> None:
        """Set the partition's own row; in the changelog it goes before the rows folded under it."""
        shared.revision = self.revision
        self.part.shared = shared
        self._shared_frame = self._live_prefix + self._lane.codec.encode(shared)

    def put_cell(self, key: bytes, row: Cell[Any] | Dead) -> None:
        """Set a cell; in the changelog it goes between the shared row and the rows folded under it."""
        row.revision = self.revision
        before = self._live_prefix
        if isinstance(row, Dead):
            self.part.graves.append((key, row))
            before = self._dead_prefix
        self.part.rows[key] = row
        self._cells[key] = before + self._lane.codec.encode(row)

    def say(self, outputs: Sequence[Output]) -> None:
        """Add outputs that are no row's. Raises `OutputTooLarge`, and adds none then."""
        for _, _, value, _ in outputs:
            if value is not None and len(value) > self._lane.max_output:
                raise OutputTooLarge(len(value), self._lane.max_output)
        self.outputs += outputs

    def finish(self) -> list[Change]:
        """Bring index and graves up to date with the changed rows; returns these, framed.

        The shared row comes first, then cells.
        """
        changed: list[Change] = [{"key": key, "value": frame} for key, frame in self._frames.items()]
        if self._cells:
            changed[:0] = [{"key": key, "value": frame} for key, frame in self._cells.items()]
        if self._shared_frame is not None:
            changed.insert(0, {"key": SHARED_KEY, "value": self._shared_frame})
        part, rows, index = self.part, self.part.rows, self.part.index
        if index is None and not self._deleted:
            return changed
        headless = self._lane.head_of is None
        for key, row in [(key, rows[key]) for key in self._frames] if headless else self._moved.items():
            dead = row.__class__ is Dead
            if dead:
                part.graves.append((key, cast("Dead", row)))
            if index is not None:
                index.put(key, None if dead else row)
        return changed
