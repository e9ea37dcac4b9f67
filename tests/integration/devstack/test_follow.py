from __future__ import annotations

import io
from typing import TYPE_CHECKING

from devstack.follow import Follower
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def append(file: Path, text: str) -> None:
    with file.open("a") as log:
        log.write(text)


def test_what_is_appended_is_shown_line_by_line_behind_its_program(tmp_path: Path) -> None:
    out = io.StringIO()
    append(tmp_path / "kafka.log", "before\n")
    with Follower(tmp_path, out):
        append(tmp_path / "kafka.log", "one\ntw")
        append(tmp_path / "ingest.log", "other\n")
        eventually(lambda: "one" in out.getvalue() and "other" in out.getvalue(), describe="both programs")
        append(tmp_path / "kafka.log", "o\n")
    assert sorted(out.getvalue().splitlines()) == ["ingest     | other", "kafka      | one", "kafka      | two"]


def test_a_log_that_begins_anew_is_shown_from_its_beginning(tmp_path: Path) -> None:
    out = io.StringIO()
    append(tmp_path / "kafka.log", "a long line of the run before\n")
    with Follower(tmp_path, out):
        (tmp_path / "kafka.log").write_text("new\n")
        eventually(lambda: "new" in out.getvalue(), describe="the new log")
    assert out.getvalue() == "kafka      | new\n"


def test_a_terminal_shows_each_program_in_a_colour_of_its_own(tmp_path: Path) -> None:
    out = Terminal()
    with Follower(tmp_path, out):
        append(tmp_path / "a.log", "1\n2\n")
        append(tmp_path / "b.log", "3\n")
    lines = out.getvalue().splitlines()
    colours = [line.partition("m")[0] for line in lines]
    assert colours[0] == colours[1] != colours[2]
    assert all(line.endswith(f"\x1b[0m {text}") for line, text in zip(lines, "123", strict=True))
