from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from cli.app import main
from cli.world import World
from tests.support.cli import Ran

if TYPE_CHECKING:
    from devstack.stack import Stack


class CommandLine:
    """``fleetlog`` beside a running stack; its variables are the environment."""

    def __init__(self, stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
        self.stack, self._capsys = stack, capsys

    def __call__(self, *arguments: str, **environ: str) -> Ran:
        with capture_logs():  # which the program keeps from its output in `__main__`
            status = main(arguments, World(environ=environ, state=self.stack.state))
        printed = self._capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    def done(self, *arguments: str, **environ: str) -> Any:
        """Run it with ``--json``; the document that it prints. It must succeed."""
        ran = self(*arguments, "--json", **environ)
        assert ran.status == 0, f"{arguments}: {ran.err}"
        return ran.lines[0] if ran.out else None


@pytest.fixture
def fleetlog(hub: Stack, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(hub, capsys)
