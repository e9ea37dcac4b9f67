"""ClickHouse in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import clickhouse_connect

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def client(url: str, database: str = "default") -> Client:
    """A client of its own; close it."""
    address = urlsplit(url)
    return clickhouse_connect.get_client(host=address.hostname, port=address.port, database=database)
