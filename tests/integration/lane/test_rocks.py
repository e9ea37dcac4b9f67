"""Rows on disk: what is settled survives, what is not is only in memory, and the cache stays bounded."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import rocksdict

from libs.runtime.lane.app import LaneApp
from libs.runtime.lane.rocks import MAX_AGE, RocksPart, now, outdated
from libs.runtime.lane.rows import cell_key
from libs.runtime.lane.settings import LaneSettings
from libs.runtime.lane.store import RocksStore
from libs.runtime.settings import KafkaSettings
from tests.unit.runtime.lane.celled import CELLED, Note
from tests.unit.runtime.lane.lab import Lab, Record, Thing, broadcast, event
from tests.unit.runtime.lane.test_app import declare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.runtime.lane.rows import Row

META, CACHE = RocksStore.offset_key, 4


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


@pytest.mark.parametrize("head", [None, Thing], ids=["objects", "frames"])
def test_the_cache_drops_settled_rows_and_loads_them_again(disk: Disk, head: type[Row] | None) -> None:
    lab = Lab(part=disk.open(), head=head)
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


def test_no_key_of_an_inbox_is_where_the_store_keeps_its_offset(disk: Disk) -> None:
    lab = Lab(part=disk.open())
    lab.feed(event(b"__faust\0offset__", 0), event(META, 1))
    lab.deliver()
    assert lab.reasons() == ["bad_key"]
    lab.part = None  # type: ignore[assignment] # so that the database closes
    lab.lane.pipeline._sending.clear()
    del lab

    again = Lab(part=disk.open())
    assert (again.counts(), again.part.offset) == ({b"__faust\0offset__": 1}, 1)


def test_stored_rows_are_as_old_as_what_they_were_recovered_from(disk: Disk) -> None:
    part, old = disk.open(), now() - MAX_AGE - 60_000
    assert not outdated(part.db, META, now()), "fresh"
    part.apply([Record(b"a", bytes(8), 5, timestamp=old)])
    assert outdated(part.db, META, now()), "deletions that followed may be gone before recovery goes on"
    part.complete(now())
    assert not outdated(part.db, META, now())
    assert outdated(part.db, META, now() + MAX_AGE + 60_000)
    part.apply([Record(b"a", bytes(8), 5, timestamp=old)])
    part.settle([{"key": b"b", "value": bytes(8)}], 6, 1, purge=False)
    assert not outdated(part.db, META, now())


class Table:
    """The store of a worker that loses partition 0 and gets it again."""

    def __init__(self, directory: Path) -> None:
        settings = LaneSettings(store="rocksdb://", data_dir=str(directory))
        self._store: Any = declare(LaneApp("ledger", kafka=KafkaSettings(), lane=settings)).parts

    def again(self) -> RocksPart:
        self._store._parts.clear()
        self._store._dbs.clear()
        gc.collect()
        part: RocksPart = self._store.part(0)
        return part


def test_a_partition_that_was_away_for_too_long_is_recovered_from_its_beginning(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.again().store({b"a": bytes(8)}, 5, now())
    kept = table.again()
    assert (kept.offset, kept.peek(b"a")) == (5, bytes(8))
    kept.store({}, 6, now() - MAX_AGE - 60_000)
    del kept
    dropped = table.again()
    assert (dropped.offset, dropped.peek(b"a")) == (None, None)
    dropped.store({b"b": bytes(8)}, 7, now())
    del dropped
    assert table.again().offset == 7


def test_rows_whose_offset_an_earlier_version_stored_elsewhere_are_recovered_from_their_beginning(
    tmp_path: Path,
) -> None:
    table = Table(tmp_path)
    part = table.again()
    part.db.put(b"__faust\0offset__", b"5 1")
    part.db.put(b"a", bytes(8))
    del part
    assert list(table.again().everything()) == []
