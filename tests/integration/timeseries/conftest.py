"""A database of the sink's tables for each module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libs.runtime.clickhouse import connect, migrate
from libs.runtime.settings import ClickHouseSettings
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

    from devstack.stack import Stack

MIGRATIONS = Path(__file__).parents[3] / "services/timeseries/migrations"


@pytest.fixture(scope="module")
def client(brokers: Stack) -> Iterator[Client]:
    with connect(ClickHouseSettings(url=brokers.clickhouse_url, database=unique("db")), "tests") as client:
        migrate(client, "timeseries", MIGRATIONS)
        yield client
