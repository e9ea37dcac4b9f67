"""The ways in which a server in front of chDB loses rows, leaks state or locks itself out; each closed."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING

import lz4.frame
import pytest

from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.devstack.facade import Answer, Facade

from tests.integration.devstack.facade import Facade as Server


@pytest.fixture
def table(facade: Facade) -> str:
    """A table of one column ``n UInt64``."""
    name = unique("t")
    assert facade.post(f"CREATE TABLE {name} (n UInt64) ENGINE = MergeTree ORDER BY n").status == 200
    return name


def count(facade: Facade, table: str) -> int:
    return int(facade.post(f"SELECT count() FROM {table}").text)


class TestBodies:
    def test_every_lz4_frame_of_a_body_is_read(self, facade: Facade, table: str) -> None:
        frames = b"".join(lz4.frame.compress(f"{n}\n".encode()) for n in range(7))
        insert = f"INSERT INTO {table} FORMAT TabSeparated"
        assert facade.post(frames, headers={"Content-Encoding": "lz4"}, query=insert).status == 200
        assert count(facade, table) == 7

    def test_a_cut_off_lz4_frame_is_an_error_and_inserts_nothing(self, facade: Facade, table: str) -> None:
        body = lz4.frame.compress(b"1\n") + lz4.frame.compress(b"2\n")[:-3]
        insert = f"INSERT INTO {table} FORMAT TabSeparated"
        answer = facade.post(body, headers={"Content-Encoding": "lz4"}, query=insert)
        assert (answer.code, "cut off" in answer.text) == ("271", True)
        assert count(facade, table) == 0

    def test_gzip_bodies_are_read(self, facade: Facade, table: str) -> None:
        body = gzip.compress(f"INSERT INTO {table} FORMAT JSONEachRow\n".encode() + b'{"n":1}{"n":2}')
        assert facade.post(body, headers={"Content-Encoding": "gzip"}).status == 200
        assert count(facade, table) == 2

    @pytest.mark.parametrize("columns", [9, 10, 13, 32], ids=["tab", "newline", "return", "space"])
    def test_binary_data_that_begins_like_white_space_is_not_shortened(self, facade: Facade, columns: int) -> None:
        # a Native block begins with its number of columns, and the statement stands in front of it in the body
        name, rows = unique("t"), [list(range(columns))] * 3
        names = [f"c{n}" for n in range(columns)]
        with facade.client() as client:
            client.command(f"CREATE TABLE {name} ({', '.join(f'{c} UInt8' for c in names)}) ENGINE = Memory")
            client.insert(name, rows, column_names=names)
            assert [list(row) for row in client.query(f"SELECT * FROM {name}").result_rows] == rows

    def test_compression_that_is_not_spoken_is_refused_by_name(self, facade: Facade) -> None:
        assert facade.post("SELECT 1", decompress="1").code == "48"


class TestStatements:
    def test_the_statement_may_stand_in_the_body_in_front_of_the_data(self, facade: Facade, table: str) -> None:
        assert facade.post(f"INSERT INTO {table} FORMAT CSV\n1\n2\n3\n").status == 200
        assert count(facade, table) == 3

    def test_values_may_follow_the_statement(self, facade: Facade, table: str) -> None:
        assert facade.post(f"INSERT INTO {table} VALUES (1), (2)").status == 200
        assert facade.post("(3), (4)", query=f"INSERT INTO {table} VALUES").status == 200
        assert count(facade, table) == 4

    def test_a_second_statement_is_refused(self, facade: Facade, table: str) -> None:
        answer = facade.post(f"SELECT 1; DROP TABLE {table}")
        assert (answer.status, answer.code) == (400, "62")
        assert count(facade, table) == 0

    def test_a_semicolon_in_a_string_begins_no_statement(self, facade: Facade) -> None:
        assert facade.post("SELECT 'a; b' -- and; here\n;").text == "a; b\n"

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE {} (n UInt64) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'JSONEachRow')",
            "create table {} (n UInt64) engine Kafka settings kafka_broker_list = '127.0.0.1:1'",
            "/* x */ CREATE TABLE {} (n UInt64) ENGINE=/* y */`Kafka`('127.0.0.1:1', 't', 'g', 'CSV')",
        ],
    )
    def test_a_kafka_table_is_refused(self, facade: Facade, sql: str) -> None:
        answer = facade.post(sql.format(unique("k")))
        assert (answer.status, answer.code) == (501, "344")
        assert "Table engine Kafka is not supported here" in answer.text


class TestReadOnly:
    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO {} VALUES (1)",
            "WITH 1 AS one INSERT INTO {} SELECT one",
            "DROP TABLE {}",
            "TRUNCATE TABLE {}",
            "ALTER TABLE {} ADD COLUMN m UInt8",
            "CREATE TABLE {}_2 AS {}",
        ],
    )
    def test_get_changes_nothing(self, facade: Facade, table: str, sql: str) -> None:
        assert facade.get(sql.replace("{}", table)).code == "164"
        assert facade.get(sql.replace("{}", table), readonly="0").code == "164"
        assert facade.post(f"DESCRIBE TABLE {table}").text.startswith("n\tUInt64")

    def test_get_reads(self, facade: Facade, table: str) -> None:
        assert facade.get(f"SELECT count() FROM {table}", max_threads="1").text == "0\n"


class TestState:
    def test_a_setting_lasts_for_one_statement(self, facade: Facade) -> None:
        before = facade.post("SELECT getSetting('max_result_rows')").text
        assert facade.post("SELECT getSetting('max_result_rows')", max_result_rows="77").text == "77\n"
        assert facade.post("SELECT getSetting('max_result_rows')").text == before

    def test_a_set_statement_lasts_for_itself(self, facade: Facade) -> None:
        before = facade.post("SELECT getSetting('max_result_rows')").text
        assert facade.post("SET max_result_rows = 78").status == 200
        assert facade.post("SELECT getSetting('max_result_rows')").text == before

    def test_an_unknown_setting_is_an_error_and_the_known_one_beside_it_is_not_kept(self, facade: Facade) -> None:
        before = facade.post("SELECT getSetting('max_result_rows')").text
        answer = facade.post("SELECT 1", max_result_rows="79", no_such_setting="1")
        assert (answer.status, answer.code) == (404, "115")
        assert facade.post("SELECT getSetting('max_result_rows')").text == before

    def test_a_setting_cannot_carry_sql(self, facade: Facade) -> None:
        assert facade.send("POST", "SELECT 1", {}, {"max_threads=1, readonly": "1"}).code == "115"
        assert (
            facade.post("SELECT getSetting('log_comment')", log_comment="a', b = 'c\\").text == "a\\', b = \\'c\\\\\n"
        )

    def test_the_database_lasts_for_one_statement(self, facade: Facade) -> None:
        assert facade.post("SELECT currentDatabase()", database="system").text == "system\n"
        assert facade.post("USE system").status == 200
        assert facade.post("SELECT currentDatabase()").text == "default\n"
        assert facade.post("SELECT 1", database="no_such_database").code == "81"

    def test_a_parameter_lasts_for_one_statement(self, facade: Facade) -> None:
        assert facade.post("SELECT {p:UInt8}", param_p="5").text == "5\n"
        assert facade.post("SELECT {p:UInt8}").code == "456"

    def test_a_temporary_table_lasts_for_one_statement(self, facade: Facade) -> None:
        name = unique("temporary")
        assert facade.post(f"CREATE TEMPORARY TABLE {name} (n UInt8)").status == 200
        assert facade.post(f"SELECT * FROM {name}").code == "60"


class TestDeduplication:
    """A window of 3 blocks: what ClickHouse promises to a sink that repeats its last blocks."""

    @pytest.fixture
    def windowed(self, facade: Facade) -> str:
        name = unique("t")
        settings = "SETTINGS non_replicated_deduplication_window = 3"
        created = facade.post(f"CREATE TABLE {name} (n UInt64) ENGINE = MergeTree ORDER BY n {settings}")
        assert created.status == 200
        return name

    def insert(self, facade: Facade, table: str, data: str, token: str = "") -> Answer:
        return facade.post(data, query=f"INSERT INTO {table} FORMAT CSV", insert_deduplication_token=token)

    def test_an_equal_block_inside_the_window_is_dropped(self, facade: Facade, windowed: str) -> None:
        for _ in range(2):
            assert self.insert(facade, windowed, "1\n2\n").status == 200
        assert count(facade, windowed) == 2

    def test_a_token_decides_alone(self, facade: Facade, windowed: str) -> None:
        self.insert(facade, windowed, "1\n", token="a")
        self.insert(facade, windowed, "1\n", token="b")  # equal rows, another token: kept
        self.insert(facade, windowed, "9\n", token="a")  # other rows, a known token: dropped
        assert facade.post(f"SELECT n FROM {windowed} ORDER BY n").text == "1\n1\n"

    def test_outside_the_window_a_token_is_forgotten(self, facade: Facade, windowed: str) -> None:
        for token in ("a", "b", "c", "d", "a"):
            self.insert(facade, windowed, "1\n", token=token)
        assert count(facade, windowed) == 5


class TestErrors:
    @pytest.mark.parametrize(
        ("sql", "status", "code", "name"),
        [
            ("SELEC 1", 400, "62", "SYNTAX_ERROR"),
            ("SELECT * FROM no_such_table", 404, "60", "UNKNOWN_TABLE"),
            ("SELECT no_such_column FROM system.one", 404, "47", "UNKNOWN_IDENTIFIER"),
            ("SELECT no_such_function()", 404, "46", "UNKNOWN_FUNCTION"),
            ("SELECT 1 FORMAT NoSuchFormat", 404, "73", "UNKNOWN_FORMAT"),
            ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ],
    )
    def test_errors_are_clickhouse_s(self, facade: Facade, sql: str, status: int, code: str, name: str) -> None:
        answer = facade.post(sql)
        assert (answer.status, answer.code) == (status, code)
        assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
        assert name in answer.text

    def test_a_row_that_cannot_be_read_inserts_none_of_its_block(self, facade: Facade, table: str) -> None:
        answer = facade.post("1\nx\n3\n", query=f"INSERT INTO {table} FORMAT TabSeparated")
        assert answer.code == "27"
        assert count(facade, table) == 0

    def test_a_statement_that_is_not_utf8_is_an_error(self, facade: Facade) -> None:
        assert facade.post(b"SELECT '\xff'").code == "62"


class TestProcess:
    def test_a_restart_and_a_crash_keep_the_rows(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            server.post("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
            server.post("INSERT INTO kept SELECT number FROM numbers(1000)")
            server.restart()
            assert count(server, "kept") == 1000
            server.supervisor.kill("clickhouse", 9)
            eventually(lambda: server.supervisor.restarts("clickhouse") == 1, describe="it is started again")
            server.start()
            assert count(server, "kept") == 1000

    def test_a_statement_that_runs_at_the_stop_is_answered(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--waiting", "0") as server:
            answers: list[Answer] = []

            def ask() -> None:
                answers.append(server.post("SELECT sleep(3)"))
                while answers[-1].status == 503:  # one of the questions below was first
                    answers.append(server.post("SELECT sleep(3)"))

            slow = threading.Thread(target=ask)
            slow.start()
            # nothing may wait, so a refusal shows that the slow statement runs
            eventually(lambda: server.post("SELECT 1").status == 503, describe="the slow statement runs")
            server.stop()
            slow.join(10)
            assert answers[-1].text == "0\n"

    def test_more_statements_than_may_wait_are_refused(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--waiting", "1") as server:
            answers: list[Answer] = []
            threads = [
                threading.Thread(target=lambda: answers.append(server.post("SELECT sleep(1)"))) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            assert sorted((answer.status, answer.code) for answer in answers) == [
                (200, ""),
                (200, ""),
                (503, "202"),
                (503, "202"),
            ]
            assert server.post("SELECT 1").text == "1\n"

    def test_only_the_right_user_and_password_are_let_in(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--user", "hub", password="pässword") as server:
            ask = "SELECT 1"
            basic = {"Authorization": "Basic aHViOnDDpHNzd29yZA=="}
            assert server.post(ask, user="hub", password="pässword").text == "1\n"
            assert server.post(ask, headers=basic).text == "1\n"
            for answer in (
                server.post(ask),
                server.post(ask, user="hub", password="wrong"),
                server.post(ask, user="default", password="pässword"),
                server.post(ask, headers={"Authorization": "Basic !"}),
                server.post(ask, headers={"X-ClickHouse-User": "hub", "X-ClickHouse-Key": "wrong"}),
            ):
                assert (answer.status, answer.code) == (403, "516")
                assert "pässword" not in answer.text
