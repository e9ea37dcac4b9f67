"""One broker for the tests of a file, and a hub's side for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.device_hub import GuardedBroker, Hub, hub_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    running = GuardedBroker(tmp_path_factory.mktemp("broker"))
    running.start()
    yield running
    running.close()


@pytest_asyncio.fixture
async def hub(broker: GuardedBroker) -> AsyncIterator[Hub]:
    async with hub_at(broker) as opened:
        yield opened
