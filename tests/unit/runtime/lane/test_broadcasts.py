"""Broadcasts inside the inbox: folded where they stand, swept over the rows they name, resumed after a crash."""

from __future__ import annotations

from typing import Any

import pytest

from libs.runtime.lane.model import Due, Everything
from libs.runtime.lane.passage import passage
from libs.runtime.lane.rows import SHARED_KEY
from libs.topics.identity import BROADCAST_KEY
from tests.unit.runtime.lane.lab import Lab, Record, World, broadcast, event

FIFTY = [event(b"k%03d" % n, n, tag="red" if n % 2 else "blue") for n in range(50)]


def world(lab: Lab) -> World:
    found: World = lab.lane.shared_of(lab.part).state
    return found


def test_a_broadcast_takes_effect_between_its_neighbours() -> None:
    lab = Lab()
    asked = [event(b"a", n, "ask") for n in (0, 2, 4)]
    lab.feed(asked[0], broadcast(1, "none"), asked[1], broadcast(3, "none"), asked[2])
    assert [output[-1:] for output in lab.outputs()] == [b"0", b"1", b"2"]
    assert world(lab) == World(2)


@pytest.mark.parametrize(
    ("kind", "fields", "swept"),
    [
        ("none", {}, set()),
        ("everything", {}, {b"a", b"b", b"c"}),
        ("tagged", {"tag": "red"}, {b"a", b"c"}),
        ("tagged", {"tag": "green"}, set()),
        ("named", {"keys": ("b", "b", "z")}, {b"b"}),
        ("tick", {"now": 20}, {b"b", b"c"}),
    ],
)
def test_a_sweep_visits_the_rows_that_the_broadcast_names(
    kind: str, fields: dict[str, object], swept: set[bytes]
) -> None:
    lab = Lab()
    lab.feed(event(b"a", 0, tag="red"), event(b"b", 1, due=10), event(b"c", 2, tag="red", due=20))
    lab.feed(broadcast(3, kind, **fields))
    assert {key for key, count in lab.counts().items() if count == 2} == swept
    assert lab.lane.counters.swept == len(swept)


def test_due_rows_are_visited_earliest_first() -> None:
    lab = Lab()
    lab.feed(event(b"late", 0, due=5_000), event(b"b", 1, due=10), event(b"a", 2, due=10), event(b"never", 3))
    before = len(lab.outputs())
    lab.feed(broadcast(4, "tick", now=6_000))
    assert [output.split(b"-")[3] for output in lab.outputs()[before:]] == [b"a", b"b", b"late"]


def test_a_swept_output_carries_the_rows_key_in_its_id() -> None:
    lab = Lab()
    lab.feed(event(b"p/d", 0), broadcast(1, "everything"))
    assert lab.outputs()[-1] == b"things.inbox-0-1-p/d-0 2 1"


def test_a_sweep_does_not_revive_a_deleted_row() -> None:
    lab = Lab()
    lab.feed(event(b"a", 0), event(b"a", 1, "delete"), broadcast(2, "everything"))
    assert lab.counts() == {}


def test_the_shared_row_enters_the_changelog_before_the_rows_folded_under_it_and_after_all_others() -> None:
    lab = Lab()
    lab.feed(event(b"a", 0), broadcast(1, "everything"), event(b"b", 2))
    assert [record.key for record in lab.deliver()] == [b"a", SHARED_KEY, b"a", b"b"]


@pytest.mark.parametrize("cut", range(50, 102))
def test_a_half_swept_broadcast_resumes_with_the_rows_that_are_left(cut: int) -> None:
    first = Lab()
    first.lane.sweep_slice = 10
    first.feed(*FIFTY, broadcast(50, "everything"))
    changelog = first.deliver()
    assert len(changelog) == 50 + 1 + 50

    again = Lab(changelog[:cut])
    again.feed(*FIFTY, broadcast(50, "everything"))
    assert set(again.counts().values()) == {2}
    assert world(again) == World(1)
    assert len(again.outputs()) == 50 - max(0, cut - 51)


def test_what_lies_before_the_last_broadcast_is_complete_whatever_it_did() -> None:
    """An event without effect is not recorded; under a later shared state it would have one."""
    inbox = [event(b"a", 0), event(b"a", 1, "ask_if_odd"), broadcast(2, "none"), event(b"b", 3)]
    first = Lab()
    first.feed(*inbox)
    again = Lab(first.deliver(), part=None)
    again.feed(*inbox)
    assert again.outputs() == []
    assert again.lane.counters.skipped == 3 + 1  # up to the broadcast by its offset, `b` by its row's


def test_a_broadcast_that_cannot_be_decoded_or_folded_is_refused_once() -> None:
    inbox = [event(b"a", 0), broadcast(1, "boom"), Record(BROADCAST_KEY, b"{", 2), event(b"a", 3)]
    lab = Lab()
    lab.feed(*inbox)
    assert lab.reasons() == ["poison", "invalid_message"]
    assert world(lab) == World(0)
    again = Lab(lab.deliver())
    again.feed(*inbox)
    assert again.letters() == []


def test_a_shared_state_over_the_limit_is_refused_with_its_broadcast() -> None:
    lab = Lab(max_shared=100)
    lab.feed(event(b"a", 0), broadcast(1, "everything", text="x" * 200), broadcast(2, "none"))
    assert lab.reasons() == ["row_too_large"]
    assert world(lab) == World(1)
    assert lab.counts() == {b"a": 1}


def test_a_row_that_poisons_a_sweep_is_refused_alone() -> None:
    lab = Lab(fold_shared=lambda world, *_: (world, Everything()))
    lab.feed(event(b"a", 0), event(b"b", 1, "delete"), event(b"c", 2), broadcast(3, "boom"))
    assert [(letter["reason"], letter["key"]) for letter in lab.letters()] == [("poison", "YQ=="), ("poison", "Yw==")]
    assert lab.row(b"a").offset == 3


def test_targets_that_need_an_index_sweep_nothing_where_the_lane_has_none() -> None:
    lab = Lab(terms=None, deadline=None, fold_shared=lambda world, *_: (world, Due(10**15)))
    lab.feed(event(b"a", 0, due=1), broadcast(1, "tick"))
    assert lab.counts() == {b"a": 1}


def test_a_lane_without_fold_shared_takes_broadcasts_and_sweeps_nothing() -> None:
    lab = Lab()
    lab.lane.fold_shared = Lab(fold_shared=None).lane.fold_shared
    lab.feed(event(b"a", 0), broadcast(1, "everything"))
    assert lab.counts() == {b"a": 1}
    assert lab.lane.shared_of(lab.part).offset == 1


def test_other_partitions_get_a_turn_after_every_slice_of_a_sweep() -> None:
    lab = Lab()
    lab.lane.sweep_slice = 10
    records = [*FIFTY, broadcast(50, "everything")]
    assert len(list(passage(lab.lane, lab.part, lab.slice(records), records))) == 4


def test_a_state_that_no_recovery_could_read_is_refused_with_its_broadcast() -> None:
    unreadable: Any = World(broadcasts="many")  # type: ignore[arg-type] # a bug in a fold
    lab = Lab(fold_shared=lambda *_: (unreadable, None))
    lab.feed(broadcast(0, "none"))
    assert lab.reasons() == ["poison"]
    again = Lab(lab.deliver())
    assert (world(again), again.lane.shared_of(again.part).offset) == (World(), 0)
