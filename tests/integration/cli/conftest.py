from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from devstack.stack import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.stack import Stack


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        (document,) = self.lines
        return document


class CommandLine:
    """``./fleetlog`` beside a running stack, from a directory of its own."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack, self.directory = stack, directory

    def __call__(self, *arguments: str, **environ: str) -> Ran:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("FLEETLOG_")}
        done = subprocess.run(
            (sys.executable, "-P", "-m", "cli", "--state", str(self.stack.state), *arguments),
            cwd=self.directory,
            env={**inherited, "PYTHONPATH": str(CHECKOUT), **environ},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def done(self, *arguments: str, **environ: str) -> Any:
        """Run it with ``--json``; the document that it prints. It must succeed."""
        ran = self(*arguments, "--json", **environ)
        assert ran.status == 0, f"{arguments}: {ran.err}"
        return ran.document if ran.out else None


@pytest.fixture
def fleetlog(guarded: Stack, tmp_path: Path) -> CommandLine:
    return CommandLine(guarded, tmp_path)
