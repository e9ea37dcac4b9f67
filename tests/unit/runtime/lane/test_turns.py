"""Turns: while a partition sweeps its later slices wait, and a rebalance gives up what is not done."""

from __future__ import annotations

import pytest

from tests.unit.runtime.lane.lab import Lab, broadcast, event

FIFTY = [event(b"k%03d" % n, n) for n in range(50)]


class Exit(BaseException):
    """Stands in for the end of the process."""


@pytest.fixture
def lab() -> Lab:
    lab = Lab()
    lab.lane.sweep_slice = 10
    lab.feed(*FIFTY)
    return lab


async def turns_of(lab: Lab) -> None:
    if lab.lane._sweeper is not None:
        await lab.lane._sweeper


async def idle(_limit: int = 0) -> None:
    """The producer has room."""


async def test_slices_behind_a_sweep_wait_and_keep_their_order(lab: Lab) -> None:
    lab.producer.room = idle  # type: ignore[attr-defined] # as the real producer
    lab.lane.accept(lab.slice([broadcast(50, "everything")]))
    lab.lane.accept(lab.slice([event(b"k000", 51), broadcast(52, "everything"), event(b"k000", 53, "ask")]))
    lab.lane.accept(lab.slice([event(b"k000", 54, "ask")]))
    assert lab.row(b"k000").count == 2, "the sweep has begun"
    assert len(lab.part.held) == 2
    await turns_of(lab)
    assert [output for output in lab.outputs() if b"-53-" in output or b"-54-" in output] == [
        b"things.inbox-0-53-0 4 2",
        b"things.inbox-0-54-0 4 2",
    ]
    lab.deliver()
    assert lab.acknowledged == [50, 51, 54, 55]


async def test_a_rebalance_gives_up_sweeps_and_waiting_slices(lab: Lab) -> None:
    lab.producer.room = idle  # type: ignore[attr-defined] # as the real producer
    sweeping, waiting, late = (lab.slice([broadcast(n, "everything")]) for n in (50, 51, 52))
    lab.lane.accept(sweeping)
    lab.lane.accept(waiting)
    lab.lane.abandon()
    lab.lane.accept(late)
    await turns_of(lab)
    assert lab.forgotten == [sweeping.message, waiting.message, late.message]
    assert lab.lane.counters.abandoned == 1
    lab.deliver()
    assert lab.acknowledged == [50], "nothing of what was given up may be committed"

    lab.lane.reset()
    for records in ([broadcast(50, "everything")], [broadcast(51, "everything")]):
        lab.lane.accept(lab.slice(records))
    await turns_of(lab)
    assert set(lab.counts().values()) == {3}
    assert len(set(lab.outputs())) == len(lab.outputs()) == 150, "each visit once"


async def test_a_failure_outside_of_the_step_ends_the_process(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reason: str, *_: object) -> None:
        raise Exit(reason)

    monkeypatch.setattr("libs.runtime.lane.lane.die", die)
    lab.part.rows[b"k010"] = bytes(8) + b"not msgpack"

    lab.producer.room = idle  # type: ignore[attr-defined] # as the real producer
    lab.lane.accept(lab.slice([broadcast(50, "everything")]))
    sweeper = lab.lane._sweeper
    assert sweeper is not None
    with pytest.raises(Exit, match="in a sweep"):
        await sweeper


def test_a_partition_that_is_not_recovered_takes_no_events(lab: Lab) -> None:
    lab.part.built = False
    with pytest.raises(RuntimeError, match="not recovered"):
        lab.lane.accept(lab.slice([event(b"k", 60)]))


def test_a_slice_that_cannot_begin_yet_is_left(lab: Lab) -> None:
    before = lab.counts()
    lab.lane.app.consumer.begin = lambda _message: None
    lab.lane.accept(lab.slice([event(b"k000", 60)]))
    assert lab.counts() == before
