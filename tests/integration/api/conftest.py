from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.stack import Stack
from tests.integration.api.calling import ready

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, a guarded mosquitto, and what the API answers with."""
    with Stack(
        tmp_path_factory.mktemp("api"),
        services=("registry", "presence", "shadow", "commands", "timeseries", "guard", "api"),
    ) as running:
        ready(running)
        yield running
