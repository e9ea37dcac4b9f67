"""The page about the command line is made from it, and every command says what it does and prints JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from cli.app import app
from cli.reference import PAGE, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for own, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {own}")
    if not hasattr(command, "commands"):
        yield name, command


COMMANDS = dict(commands(get_command(app), "fleetlog"))


def test_the_page_is_current() -> None:
    assert main(["--check"]) == 0, "run python -m cli.reference"


def test_a_stale_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = tmp_path / "cli.md"
    assert main(["--check"], stale) == 1
    assert "cli.md is stale" in capsys.readouterr().err
    assert main([], stale) == 0
    assert stale.read_text() == PAGE.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does(name: str) -> None:
    assert (COMMANDS[name].help or "").strip().partition("\n")[0].endswith(".")
    assert f"`{name}`" in PAGE.read_text()


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"fleetlog fleet"}))
def test_a_command_prints_json_where_it_is_told_to(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)
