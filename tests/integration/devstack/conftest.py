from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.devstack.facade import Facade

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def facade() -> Iterator[Facade]:
    """The embedded ClickHouse alone, one process per test module."""
    with tempfile.TemporaryDirectory(prefix="fleetlog-clickhouse-") as directory, Facade(Path(directory)) as running:
        yield running
