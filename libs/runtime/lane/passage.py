"""Passage of one fetched slice through its partition: keyed events in order, broadcasts where they stand.

A broadcast is folded into the partition's shared row, then swept over the rows it names. Exactly once in effect, and
with the same outputs on every replay, by order alone:

- the shared row with the broadcast's offset, its targets and what it made of cells is one record. It enters the
  changelog after every row changed before it and before every row folded under it, so no row ever meets other
  reference data than the first time; the rows of those cells come between (`cells`);
- every visited row and every cell that was set records the broadcast's offset, like any event;
- how many rows the targets named is counted before the first visit, and recorded in the shared row;
- a lane that sums sweeps up does so when all rows were visited, and then writes the shared row once more, without
  targets: after the summary was delivered and after the last visited row, before any row that is changed later;
- the slice is acknowledged after its last sweep and its summary, and the partition's later slices wait meanwhile.

Hence on a replay: events before the shared row's offset are complete, whatever they did, and are skipped; the broadcast
at its offset is swept again over the same targets, and rows and cells that recorded it skip, whatever they were changed
to since; later broadcasts never happened. A summary is said again only as long as the shared row has its targets, and
then no row can have been changed since: those that recorded the broadcast are what its visits left, wherever they are
found by now, and all others are visited as the first time.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from .broadcast import broadcast
from .producer import HEAVY
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .lane import Lane
    from .part import Part, Record


CHUNK = 500
"""Records folded into one batch of deliveries: what they make is handed over while it is in the processor's cache.
At 1,000 an event costs a tenth more (`bench.lane_parts`)."""


def passage(lane: Lane, part: Part, event: Any, records: Sequence[Record]) -> Iterator[None]:
    """Fold ``records``, submitting as it goes; yields where other partitions may get a turn."""
    generation = event.message.generation_id
    n = _first_open(lane, part, records)
    lane.counters.skipped += n
    while True:
        work, end = Work(lane, part, generation), min(n + CHUNK, len(records))
        if part.loads:
            part.load(record.key for record in islice(records, n, end) if record.key)
        n = work.fold(records, n, end)
        _name_inbox(lane, part, work)
        if n == len(records):
            lane.submit(work, event)
            return
        lane.submit(work, None)
        if n < end:
            yield from broadcast(lane, part, generation, records[n])
            n += 1
        elif lane.pipeline.size > HEAVY:
            yield


def _name_inbox(lane: Lane, part: Part, work: Work) -> None:
    """Record with a partition's first rows whose offsets they hold: `Lane.recognise` asks after every assignment."""
    head = lane.shared_of(part)
    if lane.inbox_id and not head.inbox:
        work.share(msgspec.structs.replace(head, inbox=lane.inbox_id))


def _first_open(lane: Lane, part: Part, records: Sequence[Record]) -> int:
    """Index of the first record that the shared row does not show to be complete."""
    head = lane.shared_of(part)
    first = head.offset if head.targets is not None or head.cells else head.offset + 1
    if not records or records[0].offset >= first:
        return 0
    return bisect_left(records, first, key=_offset)


def _offset(record: Record) -> int:
    return record.offset
