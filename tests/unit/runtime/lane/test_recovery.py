"""Recovery takes changelog slices whole, each record once, and only for partitions that are ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from libs.runtime.lane.part import Part
from libs.runtime.lane.recovery import LaneRecovery
from tests.unit.runtime.lane.lab import Lab, Record, broadcast, events

ACTIVE, STANDBY, FOREIGN = ("log", 0), ("log", 1), ("log", 2)


class Recovery(LaneRecovery):
    """Without Faust's services around it."""

    def __init__(self, parts: dict[int, Part]) -> None:
        table = SimpleNamespace(data=SimpleNamespace(part=parts.__getitem__))
        self.tp_to_table: Any = {_tp(where): table for where in (ACTIVE, STANDBY)}
        self.active_tps, self.standby_tps = {_tp(ACTIVE)}, {_tp(STANDBY)}
        self.active_offsets, self.standby_offsets = {_tp(ACTIVE): -1}, {_tp(STANDBY): 1}


def _tp(where: tuple[str, int]) -> Any:
    from faust.types import TP  # noqa: PLC0415 - as Faust hands partitions over

    return TP(*where)


@pytest.fixture
def changelog() -> list[Record]:
    lab = Lab()
    found: list[Record] = []
    for n, event in enumerate(events(b"k", range(4))):
        lab.feed(event)
        found += [record._replace(offset=n) for record in lab.deliver()]
    return found


def test_a_slice_brings_rows_and_offset_on(changelog: list[Record]) -> None:
    parts = {0: Part(0, None), 1: Part(1, None)}
    recovery = Recovery(parts)
    recovery.apply(_tp(ACTIVE), changelog)
    assert recovery.active_offsets[_tp(ACTIVE)] == parts[0].offset == 3
    assert parts[0].peek(b"k") == changelog[-1].value


def test_records_that_were_applied_before_are_left_out(changelog: list[Record]) -> None:
    parts = {0: Part(0, None), 1: Part(1, None)}
    recovery = Recovery(parts)
    recovery.apply(_tp(STANDBY), changelog[:2])
    assert parts[1].offset is None, "offset 1 was there already"
    recovery.apply(_tp(STANDBY), changelog)
    assert recovery.standby_offsets[_tp(STANDBY)] == parts[1].offset == 3


def test_partitions_that_are_not_ours_any_more_are_ignored(changelog: list[Record]) -> None:
    parts = {0: Part(0, None), 1: Part(1, None)}
    Recovery(parts).apply(_tp(FOREIGN), changelog)
    assert not parts[0].rows
    assert not parts[1].rows


def test_an_applied_slice_makes_index_and_shared_row_stale(changelog: list[Record]) -> None:
    lab = Lab()
    lab.feed(broadcast(9, "none"))
    before = lab.part.built, lab.part.shared is None
    lab.part.apply(changelog)
    assert before == (True, False)
    assert (lab.part.built, lab.part.shared is None) == (False, True)


def test_the_consumer_learns_what_a_changelog_should_bring_next(changelog: list[Record]) -> None:
    recovery = Recovery({0: Part(0, None), 1: Part(1, None)})
    assert [recovery.next_offset(_tp(where)) for where in (ACTIVE, STANDBY, FOREIGN)] == [0, 2, None]
    recovery.apply(_tp(ACTIVE), changelog)
    assert recovery.next_offset(_tp(ACTIVE)) == 4
