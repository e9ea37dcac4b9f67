"""Passage of one fetched slice through its partition: keyed events in order, broadcasts where they stand.

A broadcast is folded into the partition's shared row, then swept over the rows it names. Exactly once in effect, and
with the same outputs on every replay, by order alone:

- the shared row with the broadcast's offset and targets enters the changelog after every row changed before it and
  before every row folded under it, so no row ever meets another shared state than the first time;
- every visited row records the broadcast's offset, like any event;
- the slice is acknowledged after its last sweep, and the partition's later slices wait meanwhile.

Hence on a replay: events before the shared row's offset are complete, whatever they did, and are skipped; the broadcast
at its offset is swept again over the same targets, and rows that recorded it skip; later broadcasts never happened.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics.codec import UnknownKind

from .letters import RowTooLarge
from .model import At, Everything, Keys, Targets
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .lane import Lane
    from .part import Part, Record
    from .rows import SharedRow


def passage(lane: Lane, part: Part, event: Any, records: Sequence[Record]) -> Iterator[None]:
    """Fold ``records``, submitting as it goes; yields where other partitions may get a turn."""
    generation = event.message.generation_id
    n = _first_open(lane, part, records)
    lane.counters.skipped += n
    while True:
        work = Work(lane, part, generation)
        if part.loads:
            part.load(record.key for record in islice(records, n, None) if record.key)
        n = work.fold(records, n)
        _name_inbox(lane, part, work)
        if n == len(records):
            lane.submit(work, event)
            return
        lane.submit(work, None)
        yield from broadcast(lane, part, generation, records[n])
        n += 1


def _name_inbox(lane: Lane, part: Part, work: Work) -> None:
    """Record with a partition's first rows whose offsets they hold: `Lane.recognise` asks after every assignment."""
    head = lane.shared_of(part)
    if lane.inbox_id and not head.inbox:
        work.share(msgspec.structs.replace(head, inbox=lane.inbox_id))


def _first_open(lane: Lane, part: Part, records: Sequence[Record]) -> int:
    """Index of the first record that the shared row does not show to be complete."""
    head = lane.shared_of(part)
    first = head.offset if head.targets is not None else head.offset + 1
    if not records or records[0].offset >= first:
        return 0
    return bisect_left(records, first, key=_offset)


def _offset(record: Record) -> int:
    return record.offset


def broadcast(lane: Lane, part: Part, generation: int, record: Record) -> Iterator[None]:
    """Fold one broadcast and sweep what it names; yields after each slice of rows but the last."""
    work = Work(lane, part, generation)
    try:
        event = lane.decode(record.value)
    except UnknownKind:
        lane.counters.unknown += 1
        return
    except Exception as error:  # noqa: BLE001 - dead-lettered
        work.refuse(record, record.key, error)
        work.share(_moved(lane.shared_of(part), record.offset))
        lane.submit(work, None)
        return
    targets = _fold_shared(work, lane, record, event)
    keys = [] if targets is None else _select(part, targets)
    for start in range(0, len(keys), lane.sweep_slice):
        if start:
            lane.submit(work, None)
            yield
            work = Work(lane, part, generation)
        some = keys[start : start + lane.sweep_slice]
        part.load(some)
        lane.counters.swept += len(some)
        work.visit(some, record, event)
    lane.submit(work, None)


def _fold_shared(work: Work, lane: Lane, record: Record, event: Any) -> Targets | None:
    """Fold a broadcast into the shared row; returns what to sweep, also for one that was found half done."""
    part = work.part
    head = lane.shared_of(part)
    if record.offset <= head.offset:
        return head.targets
    lane.counters.broadcasts += 1
    try:
        at = At(lane.inbox, part.number, record.offset, record.timestamp, record.key or b"")
        state, targets = lane.fold_shared(head.state, event, at)
        size = len(lane.codec.encode(state))
        if size > lane.max_shared:
            raise RowTooLarge(size, lane.max_shared)  # noqa: TRY301 - refused like what the fold raises
    except Exception as error:  # noqa: BLE001 - dead-lettered
        work.refuse(record, record.key, error)
        work.share(_moved(head, record.offset))
        return None
    work.share(_moved(head, record.offset, state=state, targets=targets))
    return targets


def _moved(head: SharedRow[Any], offset: int, **changes: Any) -> SharedRow[Any]:
    return msgspec.structs.replace(head, **{"offset": offset, "targets": None, **changes})


def _select(part: Part, targets: Targets) -> list[bytes]:
    match targets:
        case Everything():
            return part.keys()
        case Keys(keys):
            return list(dict.fromkeys(keys))
        case _:
            return [] if part.index is None else part.index.select(targets)
