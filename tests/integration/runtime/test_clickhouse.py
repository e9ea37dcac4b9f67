"""Client and migrations on the real engine."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from libs.runtime.clickhouse import MigrationError, connect, migrate
from libs.runtime.clickhouse.outages import is_outage
from libs.runtime.settings import ClickHouseSettings
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

    from devstack.stack import Stack

FIRST = (
    "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a "
    "SETTINGS non_replicated_deduplication_window = 10;"
)
SECOND = (
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS b String DEFAULT 'a;b'; ALTER TABLE t ADD COLUMN IF NOT EXISTS c UInt8;"
)
TIMESERIES = Path(__file__).parents[3] / "services/timeseries/migrations"


@pytest.fixture
def settings(brokers: Stack) -> ClickHouseSettings:
    return ClickHouseSettings(url=brokers.clickhouse_url, database=unique("db"))


@pytest.fixture
def client(settings: ClickHouseSettings) -> Iterator[Client]:
    with connect(settings, "tests") as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text(SECOND)
    return tmp_path


def columns(client: Client) -> list[str]:
    return [row[0] for row in client.query("DESCRIBE TABLE t").result_rows]


def test_the_database_is_made_by_the_first_that_comes(settings: ClickHouseSettings, client: Client) -> None:
    with connect(settings, "tests") as another:
        assert client.query("SELECT currentDatabase()").result_rows == [(settings.database,)]
        assert another.query("SELECT currentDatabase()").result_rows == [(settings.database,)]


def test_inserts_are_synchronous_and_a_token_is_taken_once(client: Client, folder: Path) -> None:
    migrate(client, "tests", folder)
    assert client.query("SELECT getSetting('async_insert')").result_rows == [(False,)]
    for token in ("one", "one", "two"):
        client.insert("t", [[1]], column_names=["a"], settings={"insert_deduplication_token": token})
    assert client.query("SELECT count() FROM t").result_rows == [(2,)]


def test_migrations_are_applied_once_and_only_the_new_ones_later(client: Client, folder: Path) -> None:
    later = (folder / "0002_second.sql").rename(folder.parent / f"{unique('later')}.sql")
    assert migrate(client, "tests", folder) == ["0001_first"]
    assert columns(client) == ["a"]
    later.rename(folder / "0002_second.sql")
    assert migrate(client, "tests", folder) == ["0002_second"]
    assert migrate(client, "tests", folder) == []
    assert columns(client) == ["a", "b", "c"]


def test_services_have_numbers_of_their_own(client: Client, folder: Path) -> None:
    migrate(client, "tests", folder)
    assert migrate(client, "other", folder) == ["0001_first", "0002_second"]


def test_a_file_that_changed_after_it_was_applied_is_refused(client: Client, folder: Path) -> None:
    migrate(client, "tests", folder)
    (folder / "0001_first.sql").write_text(f"-- changed\n{FIRST}")
    with pytest.raises(MigrationError, match="0001_first was changed"):
        migrate(client, "tests", folder)


def test_a_migration_that_failed_half_way_is_run_again(client: Client, folder: Path) -> None:
    (folder / "0002_second.sql").write_text(SECOND.replace("c UInt8", "c Unheard"))
    with pytest.raises(DatabaseError) as refused:
        migrate(client, "tests", folder)
    assert not is_outage(refused.value)
    assert columns(client) == ["a", "b"]
    (folder / "0002_second.sql").write_text(SECOND)
    assert migrate(client, "tests", folder) == ["0002_second"]
    assert columns(client) == ["a", "b", "c"]


def test_two_that_start_at_once_both_succeed(settings: ClickHouseSettings, client: Client, tmp_path: Path) -> None:
    shutil.copytree(TIMESERIES, tmp_path, dirs_exist_ok=True)

    def start(_number: int) -> None:
        with connect(settings, "tests") as mine:
            migrate(mine, "timeseries", tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    applied = client.query("SELECT number, count() FROM schema_migrations GROUP BY number ORDER BY number").result_rows
    assert [tuple(row) for row in applied] == [(number, 1) for number in range(1, len(applied) + 1)]
    assert migrate(client, "timeseries", tmp_path) == []
