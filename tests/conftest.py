"""One stack per test session: tests keep apart by product ids, topics and group ids of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.stack import SERVICES, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def brokers() -> Iterator[Stack]:
    """Kafka with the catalog's topics, mosquitto and ClickHouse; no service runs."""
    with tempfile.TemporaryDirectory(prefix="fleetlog-tests-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        yield stack


@pytest.fixture(scope="session")
def stack(brokers: Stack) -> Stack:
    """The same stack with every service running and ready."""
    for service in SERVICES:
        brokers.start_service(service)
    brokers.wait_ready()
    return brokers
