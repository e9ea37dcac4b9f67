"""One stack per test process: tests keep apart by product ids, topics and group ids of their own (docs/adr/0035)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from devstack import lock
from devstack.places import OPEN
from devstack.stack import Stack
from tests.support.parallel import units

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from xdist.scheduler import LoadFileScheduling

settings.register_profile("quick", deadline=None)  # how long an example takes says more about busy cores than about us
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
"""A Kafka of tests is gone before the compiler that optimizes pays off: it only takes the cores from others."""

LINES = 40
"""Of each log of the stack, shown with a test that failed."""
WHOLE = {"services", "hub"}
"""Fixtures that run services until the session ends."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the services running come last: those that run a service of their own meet no other."""
    late = {item.path for item in items if WHOLE.intersection(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path in late)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return units(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    given = getattr(item, "funcargs", {})
    stacks = {stack for name in ("brokers", "hub") if isinstance(stack := given.get(name), Stack)}
    for stack in stacks if report.failed else ():
        for log in sorted(stack.logs.glob("*.log")):
            end = log.read_text(errors="replace").splitlines()[-LINES:]
            report.sections.append((f"end of {log.name}", "\n".join(end)))
    return report


@pytest.fixture(scope="session")
def brokers() -> Iterator[Stack]:
    """Kafka with the catalog's topics, mosquitto and ClickHouse; no service runs."""
    with tempfile.TemporaryDirectory(prefix="fleetlog-tests-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        yield stack


@pytest.fixture(scope="session")
def services(brokers: Stack) -> Stack:
    """The same stack with the services of a hub that lets everybody in."""
    for service in OPEN:
        brokers.start_service(service)
    return brokers


@pytest.fixture
def stack(services: Stack) -> Stack:
    """The same stack with every service ready, whatever the test before did to them."""
    services.wait_ready()
    return services


@pytest.fixture(scope="session")
def hub() -> Iterator[Stack]:
    """A stack of its own with everything: devices need credentials, and its API gives them."""
    with tempfile.TemporaryDirectory(prefix="fleetlog-guarded-") as directory:
        state = Path(directory)
        with lock.StateLock(state), Stack(state) as stack:
            yield stack
