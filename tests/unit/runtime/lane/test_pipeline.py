"""The order of deliveries: outputs, changelog, settle and acknowledge, first in, first out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from libs.runtime.lane.part import Part
from libs.runtime.lane.passage import CHUNK, passage
from libs.runtime.lane.pipeline import Batch, Pipeline
from libs.runtime.lane.producer import Deliveries
from tests.unit.runtime.lane.lab import Lab, event


class Exit(BaseException):
    """Stands in for the end of the process."""


class World:
    """Batches of one partition; every delivery is reported by hand."""

    def __init__(self) -> None:
        self.part, self.pipeline = Part(0, None), Pipeline("log")
        self.logged: list[bytes] = []
        self.acked: list[int] = []
        self.in_flight: list[tuple[Deliveries, int]] = []

    def send(self, topic: str, messages: list[dict[str, Any]], deliveries: Deliveries, partition: int) -> None:
        assert (topic, partition) == ("log", 0)
        deliveries.pending += len(messages)
        self.logged += [message["key"] for message in messages]

    def batch(self, number: int, *keys: bytes, outputs: int) -> Batch:
        event = SimpleNamespace(ack=lambda: self.acked.append(number))
        batch = Batch(event, self.part, number, [{"key": key, "value": bytes(8)} for key in keys])
        batch.outputs.pending = outputs
        self.pipeline.put(batch)
        return batch

    def advance(self) -> bool:
        producer: Any = self
        return self.pipeline.advance(producer)


def report(deliveries: Deliveries, count: int, offset: int = 0) -> None:
    for _ in range(count):
        deliveries(None, SimpleNamespace(offset=lambda: offset))


def test_rows_wait_for_the_outputs_that_explain_them() -> None:
    world = World()
    batch = world.batch(1, b"a", b"b", outputs=2)
    assert world.advance()
    report(batch.outputs, 1)
    world.advance()
    assert world.logged == []
    report(batch.outputs, 1)
    world.advance()
    assert world.logged == [b"a", b"b"]


def test_a_slice_is_acknowledged_and_settled_only_when_its_rows_are_in_the_changelog() -> None:
    world = World()
    batch = world.batch(1, b"a", b"b", outputs=0)
    world.advance()
    report(batch.changelog, 1, offset=10)
    world.advance()
    assert (world.acked, world.part.offset) == ([], None)
    report(batch.changelog, 1, offset=11)
    assert not world.advance()
    assert (world.acked, world.part.offset) == ([1], 11)


def test_a_slice_never_overtakes_an_earlier_one() -> None:
    world = World()
    first, second = world.batch(1, b"a", outputs=1), world.batch(2, b"a", outputs=0)
    world.advance()
    assert world.logged == [], "a later row never reaches the changelog without the earlier"
    report(first.outputs, 1)
    world.advance()
    report(second.changelog, 1)
    world.advance()
    assert world.acked == []
    report(first.changelog, 1)
    world.advance()
    assert world.acked == [1, 2]


def test_a_slice_without_effect_is_acknowledged_in_its_turn() -> None:
    world = World()
    first = world.batch(1, outputs=1)
    world.batch(2, outputs=0)
    world.advance()
    assert world.acked == []
    report(first.outputs, 1)
    world.advance()
    assert world.acked == [1, 2]
    assert world.part.offset is None, "the changelog has nothing of them"


def test_a_failed_delivery_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reason: str, *values: object) -> None:
        raise Exit(reason % values)

    monkeypatch.setattr("libs.runtime.lane.producer.die", die)
    failed = SimpleNamespace(topic=lambda: "out", partition=lambda: 3)
    error: Any = "timed out"
    with pytest.raises(Exit, match=r"delivery to out\[3\] failed: timed out"):
        Deliveries()(error, failed)


def test_bytes_count_until_all_of_a_slice_is_acknowledged() -> None:
    world = World()
    batch = world.batch(1, b"a", b"b", outputs=1)
    world.batch(2, b"c", outputs=0)
    assert world.pipeline.size == 24
    report(batch.outputs, 1)
    world.advance()
    assert world.pipeline.size == 24, "the rows are under way"
    report(batch.changelog, 2)
    world.advance()
    assert world.pipeline.size == 8


def test_outputs_count_with_the_rows_and_tombstones_do_not() -> None:
    lab = Lab()
    lab.feed(event(b"a", 0, "delete"))
    sent, [row] = lab.producer.sent, [batch.changed[0] for batch in lab.lane.pipeline._sending]
    assert lab.lane.pipeline.size == sum(len(one.value) for one in sent) + len(row["value"])
    before = lab.lane.pipeline.size
    lab.lane.purge(lab.part, 9)
    assert lab.lane.pipeline.size == before


def test_a_slice_whose_outputs_are_heavy_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [event(b"a", n) for n in range(3 * CHUNK)]
    lab = Lab()
    assert list(passage(lab.lane, lab.part, lab.slice(records), records)) == []
    monkeypatch.setattr("libs.runtime.lane.passage.HEAVY", 1)
    lab = Lab()
    assert len(list(passage(lab.lane, lab.part, lab.slice(records), records))) == 2
    lab.deliver()
    assert (lab.counts(), lab.acknowledged) == ({b"a": len(records)}, [len(records)])
