"""Deleted rows: their position stays until no replay can reach it."""

from __future__ import annotations

from tests.unit.runtime.lane.lab import Lab, event


def test_a_deleted_row_keeps_its_position_until_it_is_committed() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(b"k", 1, "delete"))
    lab.deliver()
    lab.feed(event(b"k", 0), event(b"k", 1, "delete"))
    assert len(lab.outputs()) == 2
    assert lab.counts() == {}

    lab.lane.on_commit(lambda _topic, _partition: 1)
    assert lab.deliver() == [], "offset 1 is not committed yet"
    lab.lane.on_commit(lambda _topic, _partition: 2)
    assert [(record.key, record.value) for record in lab.deliver()] == [(b"k", None)]
    assert b"k" not in lab.part.rows
    assert not lab.part.graves


def test_a_row_that_was_revived_survives_the_purge_of_its_tombstone() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(b"k", 1, "delete"))
    changelog = lab.deliver()
    lab.lane.purge(lab.part, 9)
    lab.feed(event(b"k", 2))
    changelog += lab.deliver()
    assert [record.value is None for record in changelog] == [False, True, False]
    assert lab.counts() == Lab(changelog).counts() == {b"k": 1}


def test_a_tombstone_of_before_a_revival_is_not_purged_in_its_place() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(b"k", 1, "delete"))
    lab.feed(event(b"k", 2))
    lab.lane.purge(lab.part, 9)
    assert [record.value is None for record in lab.deliver()] == [False, False]
    assert lab.counts() == {b"k": 1}


def test_tombstones_survive_a_restart() -> None:
    lab = Lab()
    lab.feed(*(event(b"k%d" % n, n, "ask") for n in range(4)))
    again = Lab(lab.deliver())
    assert [(key, dead.offset) for key, dead in again.part.graves] == [(b"k0", 0), (b"k1", 1), (b"k2", 2), (b"k3", 3)]
    again.lane.purge(again.part, 2)
    assert [record.key for record in again.deliver()] == [b"k0", b"k1"]


def test_nothing_is_purged_before_the_first_commit_nor_by_a_worker_that_leaves() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0, "ask"))
    lab.lane.on_commit(lambda _topic, _partition: None)
    lab.lane.abandon()
    lab.lane.on_commit(lambda _topic, _partition: 1)
    assert [record.value is None for record in lab.deliver()] == [False]


def test_a_purge_is_bounded_and_goes_on_with_the_next_commit() -> None:
    lab = Lab()
    lab.lane.purge_slice = 2
    lab.feed(*(event(b"k%d" % n, n, "ask") for n in range(3)))
    lab.deliver()
    purged = []
    for _ in range(3):
        lab.lane.on_commit(lambda _topic, _partition: 9)
        purged.append(len(lab.deliver()))
    assert purged == [2, 1, 0]
    assert lab.lane.counters.purged == 3
