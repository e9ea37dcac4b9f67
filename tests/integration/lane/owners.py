"""Who served which partition when, as workers' logs tell."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.lane.process import Worker


class Stay(NamedTuple):
    """A worker serves a partition of a table for a time, in seconds since 1970."""

    table: str
    partition: int
    worker: str
    since: float
    until: float


class _Line(msgspec.Struct):
    time: datetime
    event: str
    table: str = ""
    partitions: tuple[int, ...] = ()


def stays(workers: Iterable[Worker]) -> list[Stay]:
    """Every stay, in no order; the last one of a worker that was told to end is over at that moment."""
    return [stay for worker in workers for stay in _of(worker)]


def overlaps(workers: Iterable[Worker]) -> list[tuple[Stay, Stay]]:
    """Moments at which two workers served the same partition."""
    return [
        (one, other)
        for one, other in combinations(stays(workers), 2)
        if one[:2] == other[:2] and one.since < other.until and other.since < one.until
    ]


def served(worker: Worker) -> dict[str, set[int]]:
    """What a worker serves now, by table."""
    now: dict[str, set[int]] = {}
    for line in _changes(worker):
        now[line.table] = set(line.partitions)
    return now


def shared(*workers: Worker, tables: Iterable[str], partitions: int) -> bool:
    """Whether each worker serves some partitions, and together they serve each partition of each table once."""
    parts = [served(worker) for worker in workers]
    for table in tables:
        found = [number for part in parts for number in part.get(table, ())]
        if sorted(found) != list(range(partitions)) or not all(part.get(table) for part in parts):
            return False
    return True


def changes(worker: Worker) -> int:
    """How often the worker said that it serves other partitions than before."""
    return len(_changes(worker))


def _changes(worker: Worker) -> list[_Line]:
    lines = [line for line in worker.text().splitlines() if '"serves partitions"' in line and line.endswith("}")]
    return [msgspec.json.decode(line, type=_Line) for line in lines]


def _of(worker: Worker) -> list[Stay]:
    open_since: dict[tuple[str, int], float] = {}
    found = []
    for line in _changes(worker):
        at = line.time.timestamp()
        for table, number in list(open_since):
            if table == line.table and number not in line.partitions:
                found.append(Stay(table, number, worker.name, open_since.pop((table, number)), min(at, worker.left_at)))
        for number in line.partitions:
            open_since.setdefault((line.table, number), at)
    end = min(worker.left_at, math.inf)
    return found + [Stay(table, number, worker.name, since, end) for (table, number), since in open_since.items()]
