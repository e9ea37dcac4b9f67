"""A lane: one step over one table, fed by one inbox.

Within a partition everything is serial: a slice of events is folded without yielding to the event loop, and while a
broadcast sweeps, the partition's later slices are held. Partitions interleave.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .counters import Breaker, Counters
from .fail import EXIT_CONFIG, die, log
from .index import Index
from .model import Shared
from .passage import passage
from .pipeline import Batch, Pipeline
from .rows import SHARED_KEY, Codec, Dead, Row, SharedRow, is_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .app import LaneApp
    from .model import At, DeadlineOf, Decode, FoldShared, Step, Swept, TallyOf, Targets, TermsOf, View
    from .part import Change, Part
    from .reads import Reads
    from .store import LaneTable, PartStore
    from .work import Work

_END = object()


def _keep(shared: Any, _event: Any, _at: At) -> tuple[Any, Targets | None]:
    return shared, None


def _getter(head: type[Row]) -> Callable[[Row], Any]:
    """Return what reads all that the author declared in a head."""
    own = [name for name in head.__struct_fields__ if name not in Row.__struct_fields__]
    return attrgetter(*own) if own else lambda _: None


class Lane:
    """Made by `LaneApp.lane`, which documents the arguments."""

    sweep_slice = 500
    """Rows visited without yielding to the event loop."""
    sweep_ahead = 20_000
    """Records queued in the producer while a sweep goes on."""
    purge_slice = 5_000
    """Tombstones dropped per commit."""

    reads: Reads

    def __init__(
        self,
        app: LaneApp,
        table: LaneTable,
        *,
        service: str,
        inbox: str,
        decode: Decode,
        row: type[Row],
        step: Step,
        dead_letters: str,
        head: type[Row] | None = None,
        shared: Any = None,
        fold_shared: FoldShared = _keep,
        cell: Any = None,
        swept: Swept | None = None,
        terms: TermsOf | None = None,
        deadline: DeadlineOf | None = None,
        tally: TallyOf | None = None,
        listing: TermsOf | None = None,
        max_row: int = 256 * 1024,
        max_shared: int = 512 * 1024,
        max_cells: int = 256 * 1024,
        max_output: int = 1000 * 1000,
        breaker: tuple[int, int] = (1000, 10_000),
        tick: bool = False,
        views: Mapping[str, View] | None = None,
    ) -> None:
        self.app: Any = app
        self.service, self.table, self.inbox, self.dead_letters = service, table, inbox, dead_letters
        self.decode, self.step, self.fold_shared, self.swept = decode, step, fold_shared, swept
        self.max_row, self.max_shared, self.max_cells, self.max_output = max_row, max_shared, max_cells, max_output
        self.ticks = tick
        self.views = dict(views or {})
        self.inbox_id = ""  # Kafka's; known from the first assignment on
        self._derived, self._shared = (terms, deadline, tally, listing), shared
        self.lists = listing is not None
        self.has_cells = cell is not None
        self.codec = Codec(row, type(shared), cell if self.has_cells else Any, head)
        self.head_of = None if head is None else _getter(head)
        """Reads what a row is found by. Where it is named, rows are kept as frames: see docs/lane.md."""
        self.counters, self.breaker = Counters(), Breaker(*breaker)
        self.pipeline = Pipeline(table.changelog_name)
        self._sweeping: list[Part] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._leaving = False  # start nothing new

    @property
    def parts(self) -> PartStore:
        parts: PartStore = self.table.data
        return parts

    def new_index(self) -> Index | None:
        return Index(*self._derived, self.head_of) if any(self._derived) else None

    def shared_of(self, part: Part) -> SharedRow[Any]:
        """Return the partition's own row; a fresh one before the first broadcast."""
        if part.shared is None:
            stored = part.peek(SHARED_KEY)
            part.shared = self.codec.thaw_shared(stored) if isinstance(stored, bytes) else SharedRow(state=self._shared)
        return part.shared

    def reference(self, part: Part) -> Any:
        """Return what steps see as ``shared``."""
        state = self.shared_of(part).state
        return Shared(state, MappingProxyType(part.cells)) if self.has_cells else state

    def recognise(self, part: Part) -> None:
        """Refuse an inbox that is not the one whose offsets the rows hold: it would seem to be folded already."""
        known = self.shared_of(part).inbox
        if known and known != self.inbox_id:
            die(
                "%s was created anew (its id is %s, rows of partition %d hold offsets of %s), so that events would be "
                "skipped: delete the changelog %s and local data to fold it from its beginning",
                self.inbox,
                self.inbox_id,
                part.number,
                known,
                self.pipeline.changelog,
                code=EXIT_CONFIG,
            )

    # -- events
    async def run(self, stream: Any) -> None:
        """Body of the agent. ``noack``: slices are acknowledged by the pipeline, in order."""
        async for event in stream.noack().events():
            await self.app.lane_producer.room()
            try:
                self.accept(event)
            except Exception:  # noqa: BLE001 - ends the process
                log.exception("lane %s", self.table.name)
                die("lane %s failed outside of its step", self.table.name)

    def accept(self, event: Any) -> None:
        part = self.parts.part(event.message.partition)
        if self._leaving:
            self.app.consumer.forget(event.message)
        elif part.sweep is not None or part.held:
            part.held.append(event)
        else:
            self.process(part, event)

    def process(self, part: Part, event: Any) -> None:
        """Fold a slice; what a sweep leaves over goes on between other partitions' slices."""
        if not part.built:
            raise RuntimeError(f"partition {part.number} is not recovered")
        records = self.app.consumer.begin(event.message)
        if records is None:
            return
        self.counters.events += len(records)
        rest = passage(self, part, event, records)
        if next(rest, _END) is _END:
            return
        part.sweep, part.sweep_event = rest, event
        self._sweeping.append(part)
        if self._sweeper is None:
            self._sweeper = asyncio.ensure_future(self._sweep())

    def submit(self, work: Work, event: Any | None) -> None:
        """Hand a slice's outputs to the producer and its rows to the pipeline."""
        changed = work.finish()
        counters, producer = self.counters, self.app.lane_producer
        counters.skipped += work.skipped
        counters.unknown += work.unknown
        counters.rows += len(changed)
        for refusal in work.refusals:  # the breaker trips before the letters leave
            counters.dead_letters += 1
            self.breaker.trip(counters.events, refusal)
        batch = Batch(event, work.part, work.revision, changed)
        if work.outputs:
            counters.outputs += len(work.outputs)
            batch.size += sum([len(value or b"") for _, _, value, _ in work.outputs])
            producer.say(work.outputs, batch.outputs)
        self.pipeline.put(batch)
        producer.poll()

    def advance(self) -> bool:
        return self.pipeline.advance(self.app.lane_producer)

    # -- sweeps
    async def _sweep(self) -> None:
        """One slice of rows per sweeping partition per turn, until none is left."""
        try:
            while self._sweeping:
                for part in list(self._sweeping):
                    await self.app.lane_producer.room(self.sweep_ahead)
                    if part.sweep is None:  # abandoned meanwhile
                        continue
                    if next(part.sweep, _END) is _END:
                        part.sweep = None
                        self._sweeping.remove(part)
                        await self._release(part)
                await asyncio.sleep(0)
        except Exception:  # noqa: BLE001 - ends the process
            log.exception("lane %s", self.table.name)
            die("lane %s failed in a sweep", self.table.name)
        finally:
            self._sweeper = None

    async def _release(self, part: Part) -> None:
        while part.held and part.sweep is None:
            self.process(part, part.held.popleft())
            await asyncio.sleep(0)

    def abandon(self) -> None:
        """Give up sweeps and held slices (rebalance, stop): they were not acknowledged and replay."""
        self._leaving = True
        forget = self.app.consumer.forget
        for part in self.parts.parts():
            if part.sweep is not None:
                self.counters.abandoned += 1
                forget(part.sweep_event.message)
                part.sweep = None
            for event in part.held:
                forget(event.message)
            part.held.clear()
        self._sweeping.clear()

    def reset(self) -> None:
        """Positions will be sought again: what was abandoned comes back."""
        self._leaving = False

    # -- tombstones
    def on_commit(self, committed: Any) -> None:
        """Drop deleted rows that no replay can reach. ``committed(topic, partition)``: next offset, or None."""
        if self._leaving:
            return  # a late delete must not meet the partition's next owner
        for part in self.parts.active_parts():
            end = committed(self.inbox, part.number)
            if part.graves and part.built and end is not None:
                self.purge(part, end)

    def purge(self, part: Part, end: int) -> None:
        """Drop tombstones recorded before offset ``end``, oldest first."""
        changed: list[Change] = []
        graves = part.graves
        for _ in range(min(len(graves), self.purge_slice)):
            key, dead = graves[0]
            if dead.offset >= end:
                break
            graves.popleft()
            part.load([key])
            row = part.rows.get(key)
            if isinstance(row, bytes) and is_dead(row):  # one that lives again may be a cell, which is no row to thaw
                row = part.rows[key] = self.codec.thaw(row)
            if isinstance(row, Dead) and row.revision == dead.revision:
                changed.append({"key": key, "value": None})
        if changed:
            self.counters.purged += len(changed)
            self.pipeline.put(Batch(None, part, part.next_revision(0), changed, purge=True))
            self.app.lane_producer.poll()
