"""Blocks are fixed for all replicas: each has bounds of its own, takes the partition over when it likes, and those it
was taken from go on until Kafka refuses their commit. Whatever the order of their steps, every row is stored once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.timeseries.blocks import Bounds, mark, resume
from services.timeseries.partition import Partition
from services.timeseries.rows import TelemetryRows
from tests.unit.timeseries.fakes import NOW, Fake, uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.timeseries.blocks import Mark
    from services.timeseries.records import Rows

TOPIC = "device.telemetry"
Stored = dict[str, Counter[tuple[Any, ...]]]


class Fenced(Exception):
    """Kafka refuses the commit: the partition has another owner."""


class Replica(msgspec.Struct, frozen=True):
    """How a replica cuts its blocks, as its version and its settings have it."""

    reads: int
    rows: int
    bytes: int
    seconds: float


class World:
    """One partition in Kafka with its commit, and ClickHouse's tables with their tokens."""

    def __init__(self, log: list[Fake]) -> None:
        self.log = log
        self.end = log[-1].at + 1
        self.committed: tuple[int, str] | None = None
        self.generation = 0
        self.tokens: set[str] = set()
        self.stored: Stored = {}

    def own(self, replica: Replica) -> Iterator[None]:
        """Take the partition at once, and return its life: each step is one request, until the log ends or `Fenced`."""
        self.generation += 1
        found = None if self.committed is None else mark(*self.committed)
        start, position, _ = resume(found, self.log[0].at, self.end)
        bounds = Bounds(replica.rows, replica.bytes, replica.seconds)
        partition = Partition(TOPIC, 0, topic_id="id", start=start, bounds=bounds, rows=TelemetryRows)
        waiting = [record for record in self.log if record.at >= position]
        return self._live(partition, replica, waiting, self.generation)

    def _live(self, partition: Partition, replica: Replica, waiting: list[Fake], generation: int) -> Iterator[None]:
        now = 0.0
        while partition.committed.offset < self.end:
            now += 1
            for record in waiting[: replica.reads]:
                partition.add(record, now)
            del waiting[: replica.reads]
            partition.close_if_due(now)
            if partition.closed:
                yield from self._store(partition, generation)

    def _store(self, partition: Partition, generation: int) -> Iterator[None]:
        promised = partition.promise()
        if promised is not None:
            yield
            self._commit(partition, promised, generation)
        block = partition.closed[0]
        for table, columns in block.rows.tables():
            yield
            if block.token(table) not in self.tokens:
                self.tokens.add(block.token(table))
                self.stored.setdefault(table.name, Counter()).update(zip(*columns, strict=True))
        yield
        self._commit(partition, partition.settle(), generation)

    def _commit(self, partition: Partition, new: Mark, generation: int) -> None:
        if generation != self.generation:
            raise Fenced
        self.committed = new.offset, new.metadata
        partition.record(new)


def step(life: Iterator[None]) -> bool:
    """Whether it goes on after one more step."""
    try:
        next(life)
    except (StopIteration, Fenced):
        return False
    return True


def rows_of(log: list[Fake]) -> Stored:
    rows: Rows[Any] = TelemetryRows(TOPIC, 0)
    for record in log:
        rows.add(record)
    return {table.name: Counter(zip(*columns, strict=True)) for table, columns in rows.tables()}


PAYLOADS = st.sampled_from(
    [b'{"a":1}', b'{"a":1,"b":2,"c":"x"}', b"null", b'{"ts":%d,"a":1}' % (NOW - 10**8), b'{"ts":1,"s":"late"}', b"[1]"]
)
REPLICAS = st.builds(
    Replica,
    reads=st.integers(1, 7),
    rows=st.integers(1, 20),
    bytes=st.sampled_from([1, 700, 10**9]),
    seconds=st.sampled_from([0.5, 3.0]),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Fake]:
    """Records at growing offsets with gaps, some of them broken."""
    offset, records = draw(st.integers(0, 5)), []
    for payload in draw(st.lists(PAYLOADS | st.none(), min_size=1, max_size=20)):
        records.append(Fake(offset, b"broken") if payload is None else uploaded(offset, payload))
        offset += draw(st.sampled_from([1, 1, 3]))
    return records


@given(logs(), st.lists(st.tuples(REPLICAS, st.integers(0, 15), st.integers(0, 3)), max_size=6), REPLICAS)
def test_replicas_that_overlap_store_every_row_once(
    log: list[Fake], reigns: list[tuple[Replica, int, int]], last: Replica
) -> None:
    """``reigns``: who takes the partition, steps until the next one takes it, steps of all before in the meantime."""
    world = World(log)
    lives: list[Iterator[None]] = []
    for replica, steps, late_steps in reigns:
        owner = world.own(replica)
        for _ in range(steps):
            step(owner)
        for zombie in lives * late_steps:
            step(zombie)
        lives.append(owner)
    survivor = world.own(last)
    while step(survivor):
        for zombie in lives:  # what they still have under way arrives between the survivor's requests
            step(zombie)
    for zombie in lives:
        while step(zombie):
            pass
    assert {name: rows for name, rows in world.stored.items() if rows} == {
        name: rows for name, rows in rows_of(log).items() if rows
    }
    assert all(count == 1 for rows in world.stored.values() for count in rows.values())
    assert world.committed == (world.end, "")
