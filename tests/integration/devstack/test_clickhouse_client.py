"""What `clickhouse-connect` does with a real server, it does with the embedded one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import TYPE_CHECKING
from uuid import UUID

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

    from tests.integration.devstack.facade import Facade

ROWS = 300_000
"""More than one block: the client sends several frames."""


@pytest.fixture
def client(facade: Facade) -> Iterator[Client]:
    with facade.client() as connected:
        yield connected


@pytest.fixture
def table(client: Client) -> str:
    name = unique("t")
    client.command(f"CREATE TABLE {name} (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    return name


def summary(client: Client, table: str) -> tuple[int, int, int]:
    """(rows, different rows, sum of the first column)."""
    row = client.query(f"SELECT count(), uniqExact(n, s), sum(n) FROM {table}").result_rows[0]
    return row[0], row[1], row[2]


WHOLE = (ROWS, ROWS, ROWS * (ROWS - 1) // 2)


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_rows_arrive_complete_in_every_compression(facade: Facade, table: str, compress: str | bool) -> None:
    import clickhouse_connect  # noqa: PLC0415 - the compression is an argument of the connection

    with clickhouse_connect.get_client(host="127.0.0.1", port=facade.port, compress=compress) as client:
        client.insert(table, [[n, str(n)] for n in range(ROWS)], column_names=["n", "s"])
        assert summary(client, table) == WHOLE


def test_columns_arrive_complete(client: Client, table: str) -> None:
    columns = [list(range(ROWS)), [str(n) for n in range(ROWS)]]
    client.insert(table, columns, column_names=["n", "s"], column_oriented=True)
    assert summary(client, table) == WHOLE


def test_arrow_arrives_complete(client: Client, table: str) -> None:
    client.insert_arrow(table, pa.table({"n": pa.array(range(ROWS), pa.uint64()), "s": [str(n) for n in range(ROWS)]}))
    assert summary(client, table) == WHOLE


def test_json_lines_arrive_complete(client: Client, table: str) -> None:
    lines = "".join(f'{{"n":{n},"s":"{n}"}}\n' for n in range(ROWS))
    client.raw_insert(table, ["n", "s"], lines, fmt="JSONEachRow", compression=None)
    assert summary(client, table) == WHOLE


def test_a_large_result_comes_back_complete(client: Client) -> None:
    rows = client.query("SELECT number, toString(number) FROM numbers(500000)").result_rows
    assert len(rows) == 500_000
    assert rows[-1] == (499_999, "499999")
    arrow = client.query_arrow("SELECT number FROM numbers(500000)")
    assert arrow.num_rows == 500_000


def test_parameters_are_bound_by_the_engine(client: Client) -> None:
    found = client.query(
        "SELECT {text:String}, {numbers:Array(UInt8)}, {time:DateTime64(3, 'UTC')}",
        parameters={"text": "it's \\ a 'test'", "numbers": [1, 2], "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
    )
    assert found.result_rows[0][:2] == ("it's \\ a 'test'", [1, 2])
    assert found.result_rows[0][2].replace(tzinfo=UTC) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_settings_and_summary_pass(client: Client, table: str) -> None:
    done = client.insert(table, [[1, "a"], [2, "b"]], column_names=["n", "s"], settings={"async_insert": 0})
    assert done.written_rows == 2
    assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).result_rows == [(3,)]


def test_a_token_makes_a_repeated_insert_one(client: Client) -> None:
    name = unique("t")
    window = "SETTINGS non_replicated_deduplication_window = 100"
    client.command(f"CREATE TABLE {name} (n UInt64) ENGINE = MergeTree ORDER BY n {window}")
    for _ in range(2):
        rows = [[n] for n in range(10_000)]
        client.insert(name, rows, column_names=["n"], settings={"insert_deduplication_token": "topic-0-0-9999"})
    assert client.query(f"SELECT count() FROM {name}").result_rows == [(10_000,)]


def test_errors_carry_their_number(client: Client) -> None:
    with pytest.raises(DatabaseError, match="Code: 60") as caught:
        client.query("SELECT * FROM no_such_table")
    assert caught.value.code == 60


def test_a_schema_is_made_changed_and_dropped(client: Client) -> None:
    database = unique("d")
    client.command(f"CREATE DATABASE {database}")
    client.command(f"CREATE TABLE {database}.a (n UInt64) ENGINE = MergeTree ORDER BY n")
    client.command(f"ALTER TABLE {database}.a ADD COLUMN s String DEFAULT 'x'")
    view = (
        f"CREATE MATERIALIZED VIEW {database}.b ENGINE = SummingMergeTree ORDER BY s AS SELECT s, n FROM {database}.a"
    )
    client.command(view)
    client.insert("a", [[1], [2]], column_names=["n"], database=database)
    assert client.query(f"SELECT s, sum(n) FROM {database}.b GROUP BY s").result_rows == [("x", 3)]
    client.command(f"DROP DATABASE {database}")
    assert client.command(f"EXISTS DATABASE {database}") == 0


VALUES = [
    ("UInt8", 7),
    ("Int64", -5),
    ("Float64", 1.5),
    ("Bool", True),
    ("String", "grüß"),
    ("FixedString(3)", b"abc"),
    ("Nullable(String)", None),
    ("Nullable(Float64)", 2.5),
    ("LowCardinality(String)", "x"),
    ("LowCardinality(Nullable(String))", "y"),
    ("Array(String)", ["a", "bb"]),
    ("Array(Array(UInt16))", [[1], [2, 3]]),
    ("Array(LowCardinality(String))", ["a", "a"]),
    ("Map(String, UInt64)", {"a": 1}),
    ("Map(LowCardinality(String), Array(UInt8))", {"k": [1, 2]}),
    ("Tuple(a UInt8, b String)", {"a": 1, "b": "x"}),
    ("Decimal(12, 3)", Decimal("1.250")),
    ("UUID", UUID("12345678-1234-5678-1234-567812345678")),
    ("IPv4", IPv4Address("10.0.0.1")),
    ("Date", datetime(2026, 1, 2, tzinfo=UTC).date()),
    ("Enum8('a, (b)' = 1, 'c' = 2)", "a, (b)"),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_every_type_survives_both_directions(client: Client, kind: str, value: object) -> None:
    # the client names a protocol version, so each answer is re-framed, and a second column tells where the first ends
    name = unique("t")
    client.command(f"CREATE TABLE {name} (v {kind}, after String) ENGINE = Memory")
    client.insert(name, [[value, "1"], [value, "2"], [value, "3"]], column_names=["v", "after"])
    assert client.query(f"SELECT v, after FROM {name}").result_rows == [(value, "1"), (value, "2"), (value, "3")]
    assert client.query(f"SELECT v, after FROM {name} WHERE after = ''").result_rows == []
