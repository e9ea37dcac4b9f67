"""Faults take their time on a machine that runs the load as well."""

from __future__ import annotations

from pathlib import Path

import pytest

LIMIT = 480.0
"""Seconds for one fault: its own length, a restart of Kafka on busy cores, and the time to catch up."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(LIMIT))
