from __future__ import annotations

import pytest

from devstack.clickhouse.errors import ClickHouseError
from devstack.clickhouse.statement import Insert, Query, parse, skeleton


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("", b"INSERT INTO t FORMAT CSV\n1\n", Insert("INSERT INTO t ", "CSV", b"1\n")),
        ("", b"INSERT INTO t FORMAT CSV\r\n1\n", Insert("INSERT INTO t ", "CSV", b"1\n")),
        ("", b'INSERT INTO t FORMAT JSONEachRow {"n":1}', Insert("INSERT INTO t ", "JSONEachRow", b'{"n":1}')),
        ("INSERT INTO t FORMAT CSV", b"1\n", Insert("INSERT INTO t ", "CSV", b"1\n")),
        ("INSERT INTO t FORMAT CSV\n1", b"\n2\n", Insert("INSERT INTO t ", "CSV", b"1\n2\n")),
        ("insert into `t` (a) format Native", b"\x0a\x0b", Insert("insert into `t` (a) ", "Native", b"\x0a\x0b")),
        ("", b"INSERT INTO t FORMAT Native\n\x0a\x0b", Insert("INSERT INTO t ", "Native", b"\x0a\x0b")),
        ("", b"INSERT INTO t (format, x) FORMAT CSV\n1,2", Insert("INSERT INTO t (format, x) ", "CSV", b"1,2")),
        ("", b"-- FORMAT TSV\nINSERT INTO t FORMAT CSV\n1", Insert("-- FORMAT TSV\nINSERT INTO t ", "CSV", b"1")),
        ("", "INSERT INTO `größe` FORMAT CSV\n1".encode(), Insert("INSERT INTO `größe` ", "CSV", b"1")),
        (
            "INSERT INTO t SETTINGS async_insert=0 FORMAT CSV",
            b"1",
            Insert("INSERT INTO t SETTINGS async_insert=0 ", "CSV", b"1"),
        ),
        ("", b"INSERT INTO t FORMAT CSV\n1;SELECT", Insert("INSERT INTO t ", "CSV", b"1;SELECT")),
    ],
)
def test_the_data_of_an_insert_begins_after_its_format(query: str, body: bytes, expected: Insert) -> None:
    assert parse(query, body) == expected


@pytest.mark.parametrize(
    ("query", "body", "sql", "result_format"),
    [
        ("SELECT 1", b"", "SELECT 1", ""),
        ("", b"SELECT 1 FORMAT JSON", "SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT", b"1", "SELECT\n1", ""),
        ("", b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1;", "SELECT 1 FORMAT CSV SETTINGS max_threads = 1;", "CSV"),
        ("", b"SELECT 'x FORMAT CSV'", "SELECT 'x FORMAT CSV'", ""),
        ("", b"SELECT 1 -- FORMAT CSV", "SELECT 1 -- FORMAT CSV", ""),
        ("", b"INSERT INTO t VALUES ('FORMAT CSV')", "INSERT INTO t VALUES ('FORMAT CSV')", ""),
        ("", b"INSERT INTO t SELECT 1 FORMAT Null", "INSERT INTO t SELECT 1 FORMAT Null", "Null"),
    ],
)
def test_everything_else_is_text(query: str, body: bytes, sql: str, result_format: str) -> None:
    assert parse(query, body) == Query(sql, result_format)


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "SELECT ';' ; x", "SELECT 1 /* ; */ ; -- x\n DROP TABLE t", "SELECT `;`;DROP TABLE t"]
)
def test_two_statements_are_one_error(sql: str) -> None:
    with pytest.raises(ClickHouseError, match="Multi-statements") as caught:
        parse(sql, b"")
    assert (caught.value.code, caught.value.status) == (62, 400)


@pytest.mark.parametrize(
    "sql", ["SELECT 1;", "SELECT ';'", "SELECT 1 -- ; x", "SELECT /* ; */ 1 ;\n ;", "SELECT 'a\\';b'"]
)
def test_a_semicolon_that_ends_nothing_is_no_second_statement(sql: str) -> None:
    assert parse(sql, b"") == Query(sql, "")


@pytest.mark.parametrize("engine", ["Kafka", "KAFKA()", "`Kafka`(x)", "/* */ RabbitMQ", '"NATS"', "S3Queue('x')"])
@pytest.mark.parametrize("statement", ["CREATE TABLE t (n Int8) ENGINE = {}", "ATTACH TABLE t (n Int8) engine {}"])
def test_engines_that_consume_in_the_background_are_refused(engine: str, statement: str) -> None:
    with pytest.raises(ClickHouseError, match="is not supported here") as caught:
        parse(statement.format(engine), b"")
    assert (caught.value.code, caught.value.status) == (344, 501)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (n Int8) ENGINE = MergeTree ORDER BY n COMMENT 'was ENGINE = Kafka'",
        "SELECT 'ENGINE = Kafka'",
        "SELECT engine FROM system.tables WHERE engine = 'Kafka'",
        "CREATE TABLE kafka (n Int8) ENGINE = Memory -- not ENGINE = Kafka",
    ],
)
def test_a_refused_engine_may_be_spoken_of(sql: str) -> None:
    assert parse(sql, b"") == Query(sql, "")


def test_a_skeleton_keeps_every_place() -> None:
    sql = "SELECT 'a''b\\'' /* x */, `q` # not a comment\n-- y\nFROM t"
    bare = skeleton(sql, names=False)
    assert len(bare) == len(sql)
    assert bare.split() == ["SELECT", ",", "FROM", "t"]
    assert "`q`" in skeleton(sql, names=True)
