from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.stack import Stack
from tests.integration.api.calling import ready

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All that commands need; devices need no credentials."""
    services = ("registry", "ingest", "presence", "commands", "downlink", "timeseries", "api")
    with Stack(tmp_path_factory.mktemp("commands"), services=services) as running:
        ready(running)
        yield running
