"""The promises of `services.timeseries.blocks`, held against a model of Kafka and ClickHouse in which everything that
can end a process does so between any two steps."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.timeseries.blocks import Bounds, Mark, Plan, mark, resume
from services.timeseries.partition import Partition
from services.timeseries.rows import TelemetryRows
from tests.unit.timeseries.fakes import Fake, uploaded

if TYPE_CHECKING:
    from services.timeseries.blocks import Block

TOPIC = "device.telemetry"
UNBOUNDED = Bounds(rows=10**9, bytes=10**9, seconds=10**9)


def opened(start: Mark, bounds: Bounds) -> Partition:
    return Partition(TOPIC, 0, topic_id="id", start=start, bounds=bounds, rows=TelemetryRows)


class Crash(Exception):
    pass


class Run(msgspec.Struct, frozen=True):
    """One life of a sink: it ends after so many steps. Another life has other bounds: a new version, other settings."""

    steps: int
    reads: int
    """Records of one read."""
    rows: int
    seconds: float
    zombie: bool
    """After its end its last block still arrives, late: between the inserts of its successors."""


class World:
    """Kafka's log and commit, and ClickHouse's tables with their tokens."""

    def __init__(self, log: list[Fake]) -> None:
        self.log = log
        self.commit: tuple[int, str] | None = None
        self.tokens: set[str] = set()
        self.stored: dict[str, Counter[tuple[int, object]]] = {}
        self.late: list[Block] = []
        self.steps = 0

    def step(self) -> None:
        if self.steps == 0:
            raise Crash
        self.steps -= 1

    def insert(self, block: Block, *, mortal: bool = True) -> None:
        for table, columns in block.rows.tables():
            if mortal:
                self.step()
            if columns[0] and block.token(table) not in self.tokens:
                self.tokens.add(block.token(table))
                names = [name for name, _ in table.columns]
                offsets = columns[names.index("offset")]
                keys = columns[names.index("key")] if "key" in names else offsets
                self.stored.setdefault(table.name, Counter()).update(zip(offsets, keys, strict=True))

    def write(self, partition: Partition, committed: Mark | None) -> None:
        if committed is not None:
            self.step()
            self.commit = committed.offset, committed.metadata
            self.step()
            partition.record(committed)

    def live(self, run: Run) -> None:
        """Run a sink until it has stored everything, or crashes."""
        self.steps = run.steps
        end = self.log[-1].at + 1
        found = None if self.commit is None else mark(*self.commit)
        start, position, gone = resume(found, self.log[0].at, end)
        assert gone == 0
        partition = opened(start, Bounds(run.rows, 10**9, run.seconds))
        waiting = [record for record in self.log if record.at >= position]
        now = 0.0
        try:
            while partition.committed.offset < end:
                now += 1
                for record in waiting[: run.reads]:
                    partition.add(record, now)
                del waiting[: run.reads]
                partition.close_if_due(now)
                if partition.closed:
                    self.write(partition, partition.promise())
                    self.insert(partition.closed[0])
                    self.late_arrivals()
                    self.write(partition, partition.settle())
        except Crash:
            if run.zombie and partition.closed and partition.promise() is None:
                self.late.append(partition.closed[0])

    def late_arrivals(self) -> None:
        while self.late:
            self.insert(self.late.pop(), mortal=False)


RUNS = st.builds(
    Run,
    steps=st.integers(0, 25),
    reads=st.integers(1, 7),
    rows=st.integers(1, 20),
    seconds=st.sampled_from([0.5, 2.0, 5.0]),
    zombie=st.booleans(),
)
PAYLOADS = st.sampled_from([b'{"a":1}', b'{"a":1,"b":2,"c":"x"}', b"null", b'{"s":"text"}'])


@st.composite
def logs(draw: st.DrawFn) -> list[Fake]:
    """Records at growing offsets with gaps, a few of them broken or of unknown kind."""
    offset = draw(st.integers(0, 5))
    records = []
    for _ in range(draw(st.integers(1, 30))):
        kind = draw(st.integers(0, 9))
        content = {0: b"broken", 1: b'{"type":"unheard_of"}'}.get(kind, uploaded(offset, draw(PAYLOADS)).content)
        records.append(Fake(offset, content))
        offset += draw(st.sampled_from([1, 1, 1, 2, 4]))
    return records


def expected(log: list[Fake]) -> dict[str, Counter[tuple[int, object]]]:
    world = World(log)
    world.steps = 10**6
    world.live(Run(10**6, 10**6, 10**6, 0.5, zombie=False))
    return world.stored


@given(logs(), st.lists(RUNS, max_size=8))
def test_whatever_ends_the_sink_every_row_is_stored_once(log: list[Fake], runs: list[Run]) -> None:
    world = World(log)
    for run in runs:
        world.live(run)
    world.live(Run(10**6, 3, 5, 0.5, zombie=False))
    world.late_arrivals()
    assert world.stored == expected(log)
    assert world.commit == (log[-1].at + 1, "")
    assert all(count == 1 for table in world.stored.values() for count in table.values())


@given(logs(), st.integers(1, 40), st.integers(1, 7))
def test_blocks_are_consecutive_and_hold_every_record(log: list[Fake], rows: int, reads: int) -> None:
    partition = opened(Mark(log[0].at), Bounds(rows, 10**9, 0.5))
    for start in range(0, len(log), reads):
        for record in log[start : start + reads]:
            partition.add(record, float(start))
    partition.close_if_due(10**9)
    plans = [block.plan for block in partition.closed]
    assert plans[0].first == log[0].at
    assert plans[-1].last == log[-1].at
    assert all(second.first == first.last + 1 for first, second in pairwise(plans))
    assert all(block.rows.size < rows + 4 for block in partition.closed)


def test_a_block_under_way_promises_the_one_behind_it_in_the_same_commit() -> None:
    partition = opened(Mark(0), Bounds(rows=2, bytes=10**9, seconds=1))
    for offset in range(3):
        partition.add(uploaded(offset), 0.0)
    first = partition.promise()
    assert first == Mark(0, Plan(0, 0))
    partition.record(first)
    assert partition.committed == first
    second = partition.settle()
    assert second == Mark(1, Plan(1, 1))
    partition.record(second)
    assert partition.promise() is None


def test_a_replayed_block_ends_where_it_was_promised_to_whatever_the_bounds() -> None:
    tight = Bounds(rows=1, bytes=1, seconds=0.0)
    partition = opened(Mark(5, Plan(5, 8)), tight)
    for offset in (5, 6, 8):
        partition.add(uploaded(offset), 0.0)
        partition.close_if_due(10.0)
    assert [block.plan for block in partition.closed] == [Plan(5, 8)]
    replaying = [partition.replaying]
    partition.record(partition.settle())
    replaying.append(partition.replaying)
    assert replaying == [True, False]
    partition.add(uploaded(9), 0.0)
    assert [block.plan for block in partition.closed] == [Plan(9, 9)]


def test_a_replayed_block_whose_last_record_is_gone_still_ends_there() -> None:
    partition = opened(Mark(5, Plan(5, 8)), UNBOUNDED)
    partition.add(uploaded(5), 0.0)
    partition.add(uploaded(11), 0.0)
    [block] = partition.closed
    assert (block.plan, block.rows.offsets) == (Plan(5, 8), [5])


def test_a_block_is_closed_by_bytes_and_by_age_too() -> None:
    by_bytes = opened(Mark(0), Bounds(rows=10**9, bytes=250, seconds=10**9))
    by_bytes.add(Fake(0, None), 0.0)
    by_bytes.add(Fake(1, None), 0.0)
    assert not by_bytes.closed
    by_bytes.add(Fake(2, None), 0.0)
    assert len(by_bytes.closed) == 1

    by_age = opened(Mark(0), Bounds(rows=10**9, bytes=10**9, seconds=2.0))
    by_age.close_if_due(100.0)
    assert not by_age.closed
    by_age.add(uploaded(0), 100.0)
    by_age.add(uploaded(1), 101.5)
    by_age.close_if_due(101.9)
    assert not by_age.closed
    by_age.close_if_due(102.0)
    assert [block.plan for block in by_age.closed] == [Plan(0, 1)]


def test_bytes_are_given_back_when_a_block_is_settled() -> None:
    partition = opened(Mark(0), Bounds(rows=2, bytes=10**9, seconds=1))
    partition.add(uploaded(0), 0.0)
    partition.add(uploaded(1), 0.0)
    held = partition.bytes
    partition.record(partition.settle())
    assert 0 < partition.bytes < held
