from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from services.guard.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_put_is_there_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    assert Kept(file).read() == b""
    assert Kept(file).put(b"one\n")
    assert (file.read_bytes(), mode(file)) == (b"one\n", 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_a_group_may_read_it_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    Kept(file, os.getgid()).put(b"one\n")
    assert (mode(file), file.stat().st_gid) == (0o640, os.getgid())


def test_the_same_again_changes_nothing_also_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    kept = Kept(file)
    kept.put(b"one\n")
    before = file.stat()
    assert not kept.put(b"one\n")
    assert not Kept(file).put(b"one\n")
    assert file.stat() == before


@pytest.mark.parametrize("harm", ["unlink", "write", "chmod"])
def test_what_somebody_does_to_it_is_put_right(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "passwords"
    kept = Kept(file)
    kept.put(b"one\n")
    if harm == "unlink":
        file.unlink()
    elif harm == "write":
        file.write_bytes(b"two\n")  # of the same length
    else:
        file.chmod(0o644)
    assert kept.put(b"one\n")
    assert (file.read_bytes(), mode(file)) == (b"one\n", 0o600)
    assert not kept.put(b"one\n")


def test_a_file_that_cannot_be_written_is_what_it_was_and_is_tried_again(tmp_path: Path) -> None:
    directory = tmp_path / "away"
    kept = Kept(directory / "passwords")
    with pytest.raises(FileNotFoundError):
        kept.put(b"one\n")
    directory.mkdir()
    assert kept.put(b"one\n")


def test_half_of_a_write_is_no_write(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    Kept(file).put(b"one\n")
    (tmp_path / ".passwords.new").write_bytes(b"tw")  # left behind by a kill
    assert file.read_bytes() == b"one\n"
    assert Kept(file).put(b"two\n")
    assert list(tmp_path.iterdir()) == [file]
