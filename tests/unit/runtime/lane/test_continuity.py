"""However fetches, pauses and seeks overlap, every record is taken once and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.continuity import Continuity

TP, OTHER = ("things.inbox", 0), ("things.inbox", 1)


def fetch(continuity: Continuity, *partitions: tuple[str, int]) -> None:
    continuity.begin([TP, OTHER])
    continuity.end(partitions)


def test_a_fetch_that_follows_is_taken() -> None:
    continuity = Continuity()
    fetch(continuity, TP)
    assert continuity.follows(TP, 5, 5, sparse=False)
    assert continuity.follows(TP, 3, 5, sparse=False), "an overlap is no hole"


def test_what_was_fetched_and_not_taken_is_sought_before_anything_else_is_taken() -> None:
    continuity = Continuity()
    fetch(continuity, TP)
    fetch(continuity, TP)
    assert continuity.doubtful() == [TP]
    assert not continuity.follows(TP, 5, 5, sparse=True)
    continuity.sought([TP])
    assert continuity.follows(TP, 5, 5, sparse=True)
    continuity.took(TP)
    fetch(continuity)
    assert continuity.doubtful() == []


def test_a_fetch_that_was_given_up_leaves_every_partition_doubtful() -> None:
    continuity = Continuity()
    continuity.begin([TP, OTHER])  # never ends: its task was cancelled
    fetch(continuity, TP)
    assert sorted(continuity.doubtful()) == [TP, OTHER]


def test_a_hole_is_believed_when_it_is_there_again_after_a_seek() -> None:
    continuity = Continuity()
    fetch(continuity, TP)
    assert not continuity.follows(TP, 9, 5, sparse=False)
    fetch(continuity, TP)
    continuity.sought(continuity.doubtful())
    assert continuity.follows(TP, 9, 5, sparse=False)


def test_holes_of_a_compacted_topic_are_usual() -> None:
    continuity = Continuity()
    fetch(continuity, TP)
    assert continuity.follows(TP, 9, 5, sparse=True)


class Client:
    """A log with holes, and a client whose position moves with every fetch, whoever takes the records."""

    def __init__(self, offsets: list[int], *, sparse: bool) -> None:
        self.offsets, self.sparse = offsets, sparse
        self.position = self.next = 0
        self.wanted: int | None = 0
        self.taken: list[int] = []
        self.continuity = Continuity()

    def turn(self, count: int, event: str) -> None:
        """One turn of the consumer, with something happening while its fetch is under way."""
        self.continuity.begin([TP])
        if self.continuity.doubtful() and self.wanted is not None:
            self.position = self.wanted
            self.continuity.sought([TP])
        records = [offset for offset in self.offsets if offset >= self.position][:count]
        self.position = records[-1] + 1 if records else self.position
        match event:
            case "cancelled":
                return
            case "revoked":  # nothing is wanted until the position is sought again
                self.wanted = None
            case "position sought":
                self.position = self.next
            case "sought":
                self.position = self.wanted = self.next
        self.continuity.end([TP] if records else [])
        if records and event != "paused":
            self._receive(records)

    def _receive(self, records: list[int]) -> None:
        if self.wanted is None or records[-1] < self.wanted:
            return
        if self.continuity.follows(TP, records[0], self.wanted, sparse=self.sparse):
            self.taken += [offset for offset in records if offset >= self.wanted]
            self.wanted = self.next = records[-1] + 1
            self.continuity.took(TP)


@pytest.mark.parametrize("sparse", [False, True])
@given(
    offsets=st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted),
    turns=st.lists(
        st.tuples(
            st.integers(1, 5),
            st.sampled_from(["", "paused", "cancelled", "revoked", "position sought", "sought"]),
        ),
        max_size=40,
    ),
)
def test_every_record_is_taken_once_and_in_order(
    sparse: bool, offsets: list[int], turns: list[tuple[int, str]]
) -> None:
    client = Client(offsets, sparse=sparse)
    for count, event in turns:
        client.turn(count, event)
    client.turn(1, "sought")
    for _ in range(2 * len(offsets) + 2):
        client.turn(5, "")
    assert client.taken == offsets
