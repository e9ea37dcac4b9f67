"""One broadcast in one partition: folded into the reference data, swept over the rows it names, summed up.

See `passage` for why all of it is exactly once in effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics.codec import UnknownKind

from . import cells
from .letters import RowTooLarge
from .model import At, Everything, Folded, Keys, Targets
from .rows import is_dead
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    if keys is not None and lane.swept is not None:
        _sum_up(work, lane, record, event)
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
        return None if head.targets is None else _select(part, head.targets)
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


def _sum_up(work: Work, lane: Lane, record: Record, event: Any) -> None:
    """Say what the lane says after a sweep: again in a replay, and the same, since all that it is told is recorded."""
    assert lane.swept is not None
    part = work.part
    head = lane.shared_of(part)
    try:
        work.say(lane.swept(lane.reference(part), event, _at(lane, part, record), head.matched))
    except Exception as error:  # noqa: BLE001 - dead-lettered
        work.refuse(record, record.key, error)
