"""Rows on disk: what is settled survives, what is not is only in memory, and the cache stays bounded."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import rocksdict

from libs.runtime.lane.rocks import RocksPart
from libs.runtime.lane.rows import cell_key
from tests.unit.runtime.lane.celled import CELLED, Note
from tests.unit.runtime.lane.lab import Lab, broadcast, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

META, CACHE = b"\0offset", 4


class Disk:
    """Opens the same database again and again, as a worker's restarts do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> RocksPart:
        gc.collect()  # a database closes when it is collected
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        return RocksPart(0, Lab().lane.new_index(), rocksdict.Rdict(str(self._directory), options), META, CACHE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    yield Disk(tmp_path / "db")
    gc.collect()


def test_settled_rows_offset_revision_and_shared_row_survive_a_restart(disk: Disk) -> None:
    lab = Lab(part=disk.open())
    lab.feed(event(b"a", 0), event(b"b", 1), broadcast(2, "none"), event(b"a", 3, "delete"))
    lab.deliver()
    revision = lab.part.revision
    lab.part = None  # type: ignore[assignment] # so that the database closes
    lab.lane.pipeline._sending.clear()
    del lab

    again = Lab(part=disk.open())
    assert again.counts() == {b"b": 1}
    assert (again.part.offset, again.part.revision) == (1, revision)
    assert again.lane.shared_of(again.part).offset == 2
    assert [key for key, _ in again.part.graves] == [b"a"]


def test_cells_survive_a_restart_and_leave_the_disk_when_they_are_deleted(disk: Disk) -> None:
    lab = Lab(part=disk.open(), **CELLED)
    lab.feed(event(b"a", 0), broadcast(1, "none", cells={"x": "red", "y": "blue"}))
    lab.deliver()
    lab.part = None  # type: ignore[assignment] # so that the database closes
    lab.lane.pipeline._sending.clear()
    del lab

    again = Lab(part=disk.open(), **CELLED)
    assert again.part.cells == {"x": Note("red"), "y": Note("blue")}
    assert again.part.keys() == [b"a"]
    again.feed(broadcast(2, "everything", cells={"x": None}))
    again.deliver()
    again.lane.purge(again.part, 3)
    again.deliver()
    part = again.part
    assert isinstance(part, RocksPart)
    assert part.db.get(cell_key("x")) is None
    assert (part.cells, again.counts()) == ({"y": Note("blue")}, {b"a": 2})


def test_what_is_not_settled_is_not_on_disk(disk: Disk) -> None:
    lab = Lab(part=disk.open())
    lab.feed(event(b"a", 0))
    lab.deliver()
    lab.feed(event(b"a", 1), event(b"b", 2))
    part = lab.part
    assert isinstance(part, RocksPart)
    assert lab.counts() == {b"a": 2, b"b": 1}
    assert lab.thawed(part.db.get(b"a")).count == 1
    assert part.db.get(b"b") is None


def test_the_cache_drops_settled_rows_and_loads_them_again(disk: Disk) -> None:
    lab = Lab(part=disk.open())
    for n in range(20):
        lab.feed(event(b"k%02d" % n, n))
        lab.deliver()
    assert len(lab.part.rows) <= 2 * CACHE
    lab.feed(*(event(b"k%02d" % n, 20 + n) for n in range(20)))
    assert len(lab.part.rows) >= 20, "rows in flight stay, whatever the cache's size"
    assert set(lab.counts().values()) == {2}
    lab.deliver()
    assert len(lab.part.rows) <= CACHE
    assert set(lab.counts().values()) == {2}


def test_a_purged_tombstone_leaves_the_disk_too(disk: Disk) -> None:
    lab = Lab(part=disk.open())
    lab.feed(event(b"a", 0, "ask"))
    lab.deliver()
    lab.lane.purge(lab.part, 1)
    lab.deliver()
    part = lab.part
    assert isinstance(part, RocksPart)
    assert part.db.get(b"a") is None


def test_a_changelog_recovers_the_same_rows_on_disk_and_in_memory(disk: Disk) -> None:
    source = Lab()
    changelog = []
    for n in range(30):
        source.feed(event(b"k%d" % (n % 7), n, "delete" if n % 5 == 0 else "add"))
        changelog += source.deliver()
    assert Lab(changelog, part=disk.open()).rows() == Lab(changelog).rows() == source.rows()
