"""Writes ``docs/cli.md`` from the commands themselves.

``python -m cli.reference`` writes; with ``--check`` it only compares and exits 1 where the file is stale.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from .app import NAME, app
from .world import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGE = CHECKOUT / "docs" / "cli.md"
COMMAND = "python -m cli.reference"
NOTICE = f"<!-- Written by `{COMMAND}` from the commands: do not edit. -->"
VERBATIM = re.compile(r"\x08\n(.+?)(?=\n\n|\Z)", re.DOTALL)
"""Lines of a help text that are not filled up: they begin with a backspace, which click takes for a sign."""
USAGE = re.compile(r"\*\*Usage\*\*:\n\n```console\n\$ (.*)\n```\n")
COMPLETION = """
Shell completion: `./fleetlog --install-completion`, with `fleetlog` on the path (a symbolic link to it will do).
"""


def page() -> str:
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name=NAME), name=NAME)
    text = text.replace(f"# `{NAME}`\n", f"# The command line\n\n{NOTICE}\n", 1)
    text = USAGE.sub(r"```\n\1\n```\n", text)
    text = VERBATIM.sub(lambda found: f"```\n{found[1].removeprefix('Example: ')}\n```", text)
    text = re.sub(r"\n\* `--help`: .*", "", text)
    text = re.sub(r"\*\*Options\*\*:\n\n(?=\n|\Z|#)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + f"\n{COMPLETION}"


def main(arguments: Sequence[str], file: Path = PAGE) -> int:
    text = page()
    if "--check" not in arguments:
        file.write_text(text, encoding="utf-8")
        return 0
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{file.name} is stale: run `{COMMAND}`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
