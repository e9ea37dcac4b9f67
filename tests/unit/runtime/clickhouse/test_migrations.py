from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.runtime.clickhouse.migrations import Applied, MigrationError, pending, read

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Memory;"


def write(folder: Path, *names: str, text: str = GOOD) -> Path:
    for name in names:
        (folder / name).write_text(text)
    return folder


def test_migrations_come_by_number(tmp_path: Path) -> None:
    found = read(write(tmp_path, "0002_more.sql", "0001_first.sql", "0003_last.sql"))
    assert [(m.number, m.name) for m in found] == [(1, "first"), (2, "more"), (3, "last")]
    assert found[0].statements == (GOOD.removesuffix(";"),)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("0001_a.sql", "0003_c.sql"), "0002 is missing: after it comes 0003_c"),
        (("0002_b.sql",), "0001 is missing"),
        (("0001_a.sql", "0001_b.sql"), "0002 is missing"),
        (("1_a.sql",), "not named like"),
        (("0001_A.sql",), "not named like"),
        ((), "holds no migration"),
    ],
)
def test_a_folder_with_a_gap_or_a_strange_name_is_refused(
    tmp_path: Path, names: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(MigrationError, match=complaint):
        read(write(tmp_path, *names))


@pytest.mark.parametrize(
    "text",
    ["CREATE TABLE t (a UInt8) ENGINE = Memory;", "INSERT INTO t VALUES (1);", "ALTER TABLE t ADD COLUMN b UInt8;"],
)
def test_a_statement_that_cannot_be_repeated_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MigrationError, match="cannot be repeated"):
        read(write(tmp_path, "0001_a.sql", text=text))


def test_a_file_with_broken_sql_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"0001_a\.sql: line 1"):
        read(write(tmp_path, "0001_a.sql", text="SELECT 'open;"))


def applied(folder: Path, *numbers: int) -> list[Applied]:
    return [Applied(m.number, m.name, m.checksum) for m in read(folder) if m.number in numbers]


def test_only_what_is_behind_is_pending(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", "0002_b.sql", "0003_c.sql")
    assert [m.number for m in pending(read(tmp_path), [])] == [1, 2, 3]
    assert [m.number for m in pending(read(tmp_path), applied(tmp_path, 1, 2))] == [3]
    assert pending(read(tmp_path), applied(tmp_path, 1, 2, 3)) == []


def test_a_migration_that_changed_after_it_was_applied_is_refused(tmp_path: Path) -> None:
    before = applied(write(tmp_path, "0001_a.sql", "0002_b.sql"), 1, 2)
    write(tmp_path, "0001_a.sql", text=GOOD + "-- one more word\n")
    with pytest.raises(MigrationError, match="0001_a was changed after it had been applied"):
        pending(read(tmp_path), before)


def test_two_files_applied_under_one_number_are_noticed(tmp_path: Path) -> None:
    rows = applied(write(tmp_path, "0001_a.sql"), 1)
    with pytest.raises(MigrationError, match="was changed"):
        pending(read(tmp_path), [*rows, Applied(1, "a", "0" * 64)])


def test_a_hole_in_what_was_applied_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", "0002_b.sql", "0003_c.sql")
    with pytest.raises(MigrationError, match="0002_b was never applied"):
        pending(read(tmp_path), applied(tmp_path, 1, 3))


def test_what_a_newer_version_applied_is_left_alone(tmp_path: Path) -> None:
    rows = applied(write(tmp_path, "0001_a.sql", "0002_b.sql"), 1, 2)
    (tmp_path / "0002_b.sql").unlink()
    assert pending(read(tmp_path), rows) == []
