"""Work: folding a slice of events into a partition's rows, and everything that must then be sent.

Nothing leaves the process here. An event is *recorded* (its offset stored in the row) when it changed the row, produced
an output or was dead-lettered. An event without any effect is not; meeting it again on a replay has no effect either,
since row and shared state are then what they were (`passage` skips what lies before the last broadcast).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias

from libs.topics.codec import UnknownKind
from libs.topics.identity import BROADCAST_KEY

from .letters import BadKey, OutputTooLarge, RowTooLarge, letter, reason_of
from .model import At, Output
from .rows import SHARED_KEY, Dead, Row, SharedRow, prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .lane import Lane
    from .part import Change, Part, Record

Message: TypeAlias = dict[str, Any]
"""``{"key", "value"}`` and, where it is not the key's, ``"partition"``: as librdkafka's batch call takes it."""


class Work:
    """Effects of one slice on one partition, not yet sent."""

    __slots__ = (
        "_dead_prefix",
        "_frames",
        "_lane",
        "_live_prefix",
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
        self._shared_frame: bytes | None = None
        self.outputs: dict[str, list[Message]] = {}
        self.refusals: list[str] = []
        self.skipped = self.unknown = 0

    def __bool__(self) -> bool:
        """There is something to send."""
        return bool(self._frames or self._shared_frame or self.outputs)

    def fold(self, records: Sequence[Record], start: int) -> int:
        """Fold keyed records from index ``start`` on; returns the index of the next broadcast, else the length."""
        lane, part = self._lane, self.part
        topic, number, shared = lane.inbox, part.number, lane.shared_of(part).state
        rows, get, decode, thaw, apply = part.rows, part.rows.get, lane.decode, lane.codec.thaw, self._apply
        for n in range(start, len(records)):
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
                    row = live = rows[key] = thaw(row)
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
                self.refuse(record, key, error)
                self._record(key, live, offset)
                continue
            apply(record, key, live, event, At(topic, number, offset, record.timestamp, key), shared)
        return len(records)

    def visit(self, keys: Iterable[bytes], record: Record, event: Any) -> None:
        """Fold one broadcast into the rows of these keys, as far as they exist and did not record it yet."""
        lane, part = self._lane, self.part
        shared, rows = lane.shared_of(part).state, part.rows
        for key in keys:
            row = rows.get(key)
            if row is None:
                continue
            if row.__class__ is bytes:
                row = rows[key] = lane.codec.thaw(row)
            if row.__class__ is Dead or record.offset <= row.offset:
                continue
            at = At(lane.inbox, part.number, record.offset, record.timestamp, key, swept=True)
            self._apply(record, key, row, event, at, shared)

    def _apply(self, record: Record, key: bytes, live: Row | None, event: Any, at: At, shared: Any) -> None:  # noqa: PLR0917 - called per event
        lane = self._lane
        try:
            new, outputs = lane.step(live, event, at, shared)
            if new is live and not outputs:
                return
            row = Dead() if new is None else new.__copy__()  # the author's object stays as the step returned it
            frame = self._frame(row, at.offset)
            if len(frame) > lane.max_row:
                raise RowTooLarge(f"the row would have {len(frame)} bytes, {lane.max_row} are allowed")  # noqa: TRY301 - refused like what the step raises
            self._send(outputs, lane.max_output)
        except Exception as error:  # noqa: BLE001 - dead-lettered
            self.refuse(record, key, error)
            self._record(key, live, at.offset)
            return
        self.part.rows[key] = row
        self._frames[key] = frame

    def _frame(self, row: Row, offset: int) -> bytes:
        row.revision, row.offset = self.revision, offset
        return (self._dead_prefix if row.__class__ is Dead else self._live_prefix) + self._lane.codec.encode(row)

    def _record(self, key: bytes, live: Row | None, offset: int) -> None:
        """Store that the event at ``offset`` is done, without effect on the row."""
        row = Dead() if live is None else copy(live)
        self.part.rows[key] = row
        self._frames[key] = self._frame(row, offset)

    def _send(self, outputs: Sequence[Output], limit: int) -> None:
        messages: list[tuple[str, Message]] = []
        for topic, key, value, partition in outputs:
            if len(value) > limit:
                raise OutputTooLarge(f"an output to {topic} has {len(value)} bytes, {limit} are allowed")
            message: Message = {"key": key, "value": value}
            if partition >= 0:
                message["partition"] = partition
            messages.append((topic, message))
        for topic, message in messages:
            try:
                self.outputs[topic].append(message)
            except KeyError:
                self.outputs[topic] = [message]

    def refuse(self, record: Record, key: bytes | None, error: Exception) -> None:
        """Add a dead letter."""
        lane, topic = self._lane, self._lane.dead_letters
        value = letter(
            service=lane.service, topic=lane.inbox, partition=self.part.number, record=record, key=key, error=error
        )
        self.outputs.setdefault(topic, []).append({"key": key, "value": value})
        self.refusals.append(f"{lane.inbox}-{self.part.number}-{record.offset} {reason_of(error)}")

    def share(self, shared: SharedRow[Any]) -> None:
        """Set the partition's own row; in the changelog it goes before the rows folded under it."""
        shared.revision = self.revision
        self.part.shared = shared
        self._shared_frame = self._live_prefix + self._lane.codec.encode(shared)

    def finish(self) -> list[Change]:
        """Bring index and graves up to date with the changed rows; returns these, framed, the shared row first."""
        part, rows, index = self.part, self.part.rows, self.part.index
        changed: list[Change] = [{"key": key, "value": frame} for key, frame in self._frames.items()]
        if self._shared_frame is not None:
            changed.insert(0, {"key": SHARED_KEY, "value": self._shared_frame})
        put = None if index is None else index.put
        for key in self._frames:
            row = rows[key]
            gone = row.__class__ is Dead
            if gone:
                part.graves.append((key, row))
            if put is not None:
                put(key, None if gone else row)
        return changed
