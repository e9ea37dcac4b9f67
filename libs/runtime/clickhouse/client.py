"""A client that behaves the same everywhere: synchronous inserts, bounded waits, compressed bodies.

It is safe to share between threads, since it has no ClickHouse session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import clickhouse_connect

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from libs.runtime.settings import ClickHouseSettings

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 60
"""An insert that takes longer is given up and repeated; its token makes the repetition harmless."""


def connect(settings: ClickHouseSettings, application: str) -> Client:
    """Connect, creating the database where it is missing.

    ``application`` names the service in the server's query log.
    Raises clickhouse_connect's ``DatabaseError``; `outages.is_outage` says whether waiting may help.
    """
    first = _client(settings, application, database="default")
    try:
        # The name is restricted to letters, digits and underscores by its setting.
        first.command(f"CREATE DATABASE IF NOT EXISTS {settings.database}")
    finally:
        first.close()
    return _client(settings, application, database=settings.database)


def reader(settings: ClickHouseSettings, application: str, answer_seconds: float) -> Client:
    """Connect to ask, not to write: nothing is created. Raises as `connect`, also where the database is missing."""
    return _client(settings, application, settings.database, answer_seconds)


def _client(
    settings: ClickHouseSettings, application: str, database: str, answer_seconds: float = ANSWER_SECONDS
) -> Client:
    url = urlsplit(settings.url)
    return clickhouse_connect.get_client(
        interface=url.scheme,
        host=url.hostname,
        port=url.port or (8443 if url.scheme == "https" else 8123),
        username=settings.username,
        password=settings.password.reveal(),
        database=database,
        # With asynchronous inserts the server would answer before the rows are stored, and ignore tokens.
        settings={"async_insert": 0},
        compress="lz4",
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=answer_seconds,
        client_name=f"fleetlog-{application}",
        autogenerate_session_id=False,
        dedicated_pool=True,
    )
