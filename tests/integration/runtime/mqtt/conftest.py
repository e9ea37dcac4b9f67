"""Each test of this folder runs on each broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.runtime.mqtt.brokers import FETCH, START, HiveMQ, Mosquitto
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.runtime.mqtt.brokers import Broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(FETCH + START))


@pytest.fixture(scope="module", params=[Mosquitto, HiveMQ], ids=["mosquitto", "hivemq"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with request.param(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(running: Broker) -> Broker:
    """With a session and topics that no other test has."""
    running.name = unique("session")
    return running
