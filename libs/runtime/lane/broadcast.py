"""One broadcast in one partition: folded into the reference data, swept over the rows it names, summed up.

See `passage` for why all of it is exactly once in effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics.codec import UnknownKind

from . import cells
from .letters import RowTooLarge
from .model import At, Everything, Folded, Keys, Sweep, Targets
from .rows import Dead, is_dead
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .lane import Lane
    from .part import Part, Record
    from .rows import SharedRow


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
    keys = _fold(work, lane, record, event)
    for start in range(0, len(keys or ()), lane.sweep_slice):
        if start:
            lane.submit(work, None)
            yield
            work = Work(lane, part, generation)
        some = keys[start : start + lane.sweep_slice] if keys else []
        part.load(some)
        lane.counters.swept += len(some)
        work.visit(some, record, event)
    lane.submit(work, None)
    if keys is not None and lane.swept is not None:
        work = Work(lane, part, generation)  # its shared row must not come before the last rows visited
        _sum_up(work, lane, record, event, keys)
        lane.submit(work, None)


def _at(lane: Lane, part: Part, record: Record) -> At:
    return At(lane.inbox, part.number, record.offset, record.timestamp, record.key or b"")


def _moved(head: SharedRow[Any], offset: int, **changes: Any) -> SharedRow[Any]:
    return msgspec.structs.replace(head, **{"offset": offset, "targets": None, "matched": 0, "cells": {}, **changes})


def _fold(work: Work, lane: Lane, record: Record, event: Any) -> list[bytes] | None:
    """Fold a broadcast into the reference data; returns the rows to sweep, also for one that was found half done.

    None: it names no targets.
    """
    part, head = work.part, lane.shared_of(work.part)
    if record.offset <= head.offset:
        cells.put(lane, work, head.cells, head.offset)
        return None if head.targets is None else _left(lane, part, head.targets)
    lane.counters.broadcasts += 1
    try:
        found = lane.fold_shared(lane.reference(part), event, _at(lane, part, record))
        folded = found if isinstance(found, Folded) else Folded(*found)
        encoded = lane.codec.encode((folded.state, folded.targets))
        if len(encoded) > lane.max_shared:
            raise RowTooLarge(len(encoded), lane.max_shared)  # noqa: TRY301 - refused like what the fold raises
        lane.codec.decision(encoded)  # what no recovery could read is refused now
        decided = cells.decided(lane, part, folded.cells)
    except Exception as error:  # noqa: BLE001 - dead-lettered
        work.refuse(record, record.key, error)
        work.share(_moved(head, record.offset))
        return None
    keys = None if folded.targets is None else _select(part, folded.targets)
    changes = {"state": folded.state, "targets": folded.targets, "matched": len(keys or ()), "cells": decided}
    work.share(_moved(head, record.offset, **changes))
    cells.put(lane, work, decided, record.offset)
    return keys


def _select(part: Part, targets: Targets) -> list[bytes]:
    """List the rows that live among those that are named."""
    match targets:
        case Everything():
            return part.living()
        case Keys(keys):
            return [key for key in dict.fromkeys(keys) if _lives(part, key)]
        case _:
            return [] if part.index is None else part.index.select(targets)


def _lives(part: Part, key: bytes) -> bool:
    stored = part.peek(key)
    return key[:1] != b"\0" and stored is not None and not is_dead(stored)


def _left(lane: Lane, part: Part, targets: Targets) -> list[bytes]:
    """List what a sweep that was cut in two has to do with: rows that are still named, and those already visited.

    A visit may have moved its row out of what the broadcast names, so those are looked for in all of the partition.
    """
    head, named = lane.shared_of(part), _select(part, targets)
    if lane.swept is None or not head.matched:
        return named
    return list(dict.fromkeys([*_recorded(lane, part, head.offset), *named]))


def _recorded(lane: Lane, part: Part, offset: int) -> Iterator[bytes]:
    """Go through the keys of the rows that recorded this offset last; a microsecond for each row of the partition."""
    for key, stored in part.items():
        if lane.codec.offset(stored) == offset:
            yield key


def _visited(lane: Lane, part: Part, keys: Sequence[bytes], offset: int) -> Iterator[Any]:
    """Yield what the visits left of those rows on which they had an effect; None: a row was deleted."""
    for key in keys:
        stored = part.peek(key)
        if stored is None or lane.codec.offset(stored) != offset:
            continue
        row = lane.codec.thaw(stored) if isinstance(stored, bytes) else stored
        yield None if isinstance(row, Dead) else row


def _sum_up(work: Work, lane: Lane, record: Record, event: Any, keys: Sequence[bytes]) -> None:
    """Say what the lane says after a sweep, and record that it is over: `passage` tells why that is exact."""
    assert lane.swept is not None
    part = work.part
    head = lane.shared_of(part)
    sweep = Sweep(head.matched, _visited(lane, part, keys if head.matched else (), record.offset))
    try:
        work.say(lane.swept(lane.reference(part), event, _at(lane, part, record), sweep))
    except Exception as error:  # noqa: BLE001 - dead-lettered
        work.refuse(record, record.key, error)
    if head.matched:  # where no row was visited, what is said hangs on the shared row alone
        work.share(_moved(head, record.offset))
