from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cli import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fleetlog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path, capsys)
