"""Cells: reference data in rows of their own, as exact as the shared row."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.runtime.lane.model import Folded, Keys, Shared
from libs.runtime.lane.part import Part
from libs.runtime.lane.rows import SHARED_KEY, cell_key, cell_name, is_dead
from tests.unit.runtime.lane.celled import CELLED, Note, celled_inboxes, known
from tests.unit.runtime.lane.lab import Lab, Record, World, broadcast, event, tally
from tests.unit.runtime.lane.test_replay import assert_exact_after_every_crash

NOTED = [
    event(b"a", 0),
    event(b"b", 1),
    broadcast(2, "everything", cells={"a": "x", "b": "y"}),
    event(b"a", 3, "ask_if_noted"),
    broadcast(4, "none", cells={"a": None, "c": "z"}),
    event(b"b", 5, "ask_if_noted"),
    broadcast(6, "everything", cells={"b": "yy", "a": "again"}),
    event(b"c", 7),
]


@given(inbox=celled_inboxes(), first=st.integers(1, 9), second=st.integers(1, 9))
@example(inbox=NOTED, first=8, second=3)
@example(inbox=NOTED, first=3, second=8)
def test_every_replay_repeats_every_output_byte_for_byte(inbox: list[Record], first: int, second: int) -> None:
    assert_exact_after_every_crash(inbox, first, second, **CELLED)


def test_a_step_sees_the_cells_that_the_broadcasts_before_it_set() -> None:
    lab = Lab(**CELLED)
    lab.feed(*NOTED)
    assert [output.partition(b" ")[2] for output in lab.outputs() if b"-3-" in output or b"-7-" in output] == [
        b'[["a",["x",1]],["b",["y",1]]]',
        b'1 3 [["a",["again",1]],["b",["yy",2]],["c",["z",1]]]',
    ]
    assert not any(b"-5-" in output for output in lab.outputs()), "cell a was deleted"


def test_a_cell_enters_the_changelog_once_between_the_shared_row_and_the_rows_folded_under_it() -> None:
    lab = Lab(**CELLED)
    lab.feed(*NOTED[:4], broadcast(4, "none"))
    a, b = cell_key("a"), cell_key("b")
    assert [record.key for record in lab.deliver()] == [
        *(b"a", b"b"),
        *(SHARED_KEY, a, b, b"a", b"b", SHARED_KEY),
        b"a",
        SHARED_KEY,
    ]


def test_state_and_cells_are_of_one_broadcast_wherever_the_changelog_ends() -> None:
    """Also before anything is replayed: reads may look at them."""
    lab = Lab(**CELLED)
    seen = [lab.lane.reference(lab.part)]
    for record in NOTED:
        lab.feed(record)
        state, cells = msgspec.structs.astuple(lab.lane.reference(lab.part))
        if state != seen[-1].state:
            seen.append(Shared(state, dict(cells)))
    changelog = lab.deliver()
    met = []
    for cut in range(len(changelog) + 1):
        again = Lab(changelog[:cut], **CELLED)
        state, cells = msgspec.structs.astuple(again.lane.reference(again.part))
        met.append(Shared(state, dict(cells)))
    assert [one for n, one in enumerate(met) if not n or one != met[n - 1]] == [Shared(World(), {}), *seen[1:]]


def test_a_cell_that_is_recorded_is_not_written_again_by_a_replay() -> None:
    lab = Lab(**CELLED)
    lab.feed(broadcast(0, "none", cells={"a": "x", "b": "y"}))
    head, a, b = lab.deliver()
    again = Lab([head, a], **CELLED)
    again.feed(broadcast(0, "none", cells={"a": "x", "b": "y"}))
    assert [record.key for record in again.deliver()] == [b.key]


def test_cells_are_read_only() -> None:
    lab = Lab(**CELLED)
    lab.feed(broadcast(0, "none", cells={"a": "x"}))
    shared: Shared[World, Note] = lab.lane.reference(lab.part)
    assert known(shared) == b' [["a",["x",1]]]'
    with pytest.raises(TypeError):
        shared.cells["a"] = Note("other")  # type: ignore[index] # which is the point


def test_a_cell_is_no_row() -> None:
    lab = Lab(**CELLED, tally=tally, terms=lambda row: (("any", row.tag),))
    lab.feed(event(b"a", 0, tag="red"), broadcast(1, "everything", cells={"a": "x"}))
    lab.feed(broadcast(2, "named", keys=("\0cell:a", "\0shared", "a")))
    assert (lab.part.keys(), lab.lane.counters.swept, lab.letters()) == ([b"a"], 2, [])
    again = Lab(lab.deliver(), **CELLED, tally=tally, terms=lambda row: (("any", row.tag),))
    assert again.part.keys() == [b"a"]
    assert again.part.index is not None
    assert again.part.index.sizes() == {("any", "red"): 1}
    assert again.part.index.tally is not None
    assert again.part.index.tally.counts() == {("a", "red"): 1}
    assert again.part.cells == {"a": Note("x")}


def test_a_deleted_cell_leaves_a_tombstone_until_its_broadcast_is_committed() -> None:
    lab = Lab(**CELLED)
    lab.feed(broadcast(0, "none", cells={"a": "x"}), broadcast(1, "none", cells={"a": None, "b": None}))
    changelog = lab.deliver()
    assert [record.key for record in changelog] == [SHARED_KEY, cell_key("a"), SHARED_KEY, cell_key("a")]
    assert is_dead(changelog[-1].value or b"")

    again = Lab(changelog, **CELLED)
    assert again.part.cells == {}
    again.lane.on_commit(lambda _topic, _partition: 1)
    assert again.deliver() == []
    again.lane.on_commit(lambda _topic, _partition: 2)
    assert [(record.key, record.value) for record in again.deliver()] == [(cell_key("a"), None)]
    again.feed(broadcast(2, "none", cells={"a": "new"}))
    assert Lab([*changelog, *again.deliver()], **CELLED).part.cells == again.part.cells == {"a": Note("new")}


def test_a_cell_of_a_worker_that_lost_the_partition_loses() -> None:
    first, second = Lab(**CELLED), Lab(**CELLED)
    first.feed(broadcast(0, "none", cells={"a": "x"}), generation=1)
    second.feed(broadcast(0, "none", cells={"a": "x"}), broadcast(1, "none", cells={"a": "y"}), generation=2)
    late = [*second.deliver(), *first.deliver()]
    assert Lab(late, **CELLED).part.cells == {"a": Note("y", 2)}


@given(cut=st.integers(1, 19), step=st.integers(1, 19))
def test_a_standby_has_the_same_cells_however_the_changelog_came(cut: int, step: int) -> None:
    lab = Lab(**CELLED)
    lab.feed(*NOTED)
    changelog = lab.deliver()
    assert len(changelog) == 19
    changelog = changelog[:cut]
    part = Part(0, lab.lane.new_index())
    for start in range(0, len(changelog), step):
        part.apply(changelog[start : start + step])
    for _ in part.derive(lab.lane.codec):
        continue
    assert part.cells == Lab(changelog, **CELLED).part.cells
    assert all(not isinstance(part.rows[key], bytes) for key in part.rows if cell_name(key)), "thawed once for all"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"a": Note("x" * 60), "b": Note("x" * 60)}, "row_too_large"),
        ({"a": "no note"}, "poison"),
        ({1: Note("x")}, "poison"),
    ],
)
def test_cells_that_cannot_be_set_are_refused_with_their_broadcast(cells: dict[str, Note], reason: str) -> None:
    lab = Lab(**{**CELLED, "fold_shared": lambda *_: Folded(World(9), None, cells)})
    lab.feed(broadcast(0, "none"))
    assert lab.reasons() == [reason]
    assert lab.part.cells == {}
    assert lab.lane.shared_of(lab.part).state == World()
    assert [record.key for record in lab.deliver()] == [SHARED_KEY]


def test_a_lane_without_cells_cannot_set_one() -> None:
    lab = Lab(fold_shared=lambda state, *_: Folded(state, None, {"a": Note("x")}))
    lab.feed(broadcast(0, "none"))
    assert lab.reasons() == ["poison"]
    assert "declares no cells" in lab.letters()[0]["error"]


def test_targets_count_as_shared_state() -> None:
    lab = Lab(max_shared=100, fold_shared=lambda state, *_: (state, Keys((b"k" * 200,))))
    lab.feed(broadcast(0, "none"))
    assert lab.reasons() == ["row_too_large"]


def test_a_shared_row_of_before_there_were_cells_is_read() -> None:
    lab = Lab(**CELLED)
    framed = bytes(8) + msgspec.msgpack.encode([1, 7, None, World(3), "inbox-id"])
    again = Lab([Record(SHARED_KEY, framed, 0)], **CELLED)
    assert again.lane.shared_of(again.part).state == World(3)
    assert (again.part.cells, lab.part.cells) == ({}, {})


def test_a_cell_that_lives_again_survives_the_purge_of_its_tombstone_also_as_it_comes_from_disk() -> None:
    lab = Lab(**CELLED)
    for n, text in enumerate(("red", None, "blue")):
        lab.feed(broadcast(n, "none", cells={"x": text}))
    *_, cell = lab.deliver()
    lab.part.rows[cell_key("x")] = cell.value  # as a store loads it after an eviction
    lab.lane.purge(lab.part, 9)
    assert lab.deliver() == []
    assert lab.part.cells["x"].text == "blue"
