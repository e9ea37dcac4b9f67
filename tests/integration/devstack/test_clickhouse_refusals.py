"""Rows that a table refuses are an error to the client, never an answer that they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.names import unique

if TYPE_CHECKING:
    from tests.integration.devstack.facade import Facade


@pytest.fixture
def table(facade: Facade) -> str:
    """A table that refuses 13."""
    name = unique("t")
    created = facade.post(f"CREATE TABLE {name} (n UInt64, CONSTRAINT c CHECK n != 13) ENGINE = MergeTree ORDER BY n")
    assert created.status == 200
    return name


def count(facade: Facade, table: str) -> int:
    return int(facade.post(f"SELECT count() FROM {table}").text)


def test_rows_that_violate_a_constraint_are_an_error_and_nothing_is_stored(facade: Facade, table: str) -> None:
    answer = facade.post(b'{"n":12}\n{"n":13}\n', query=f"INSERT INTO {table} FORMAT JSONEachRow")
    assert (answer.code, count(facade, table)) == ("469", 0)


def test_empty_lines_do_not_end_the_data(facade: Facade, table: str) -> None:
    assert facade.post(b'{"n":1}\n\n\n{"n":2}\n', query=f"INSERT INTO {table} FORMAT JSONEachRow").status == 200
    assert count(facade, table) == 2


def test_settings_of_the_statement_reach_the_insert(facade: Facade, table: str) -> None:
    insert = f"INSERT INTO {table} (n) SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow"
    assert facade.post(b'{"n":1,"more":2}', query=insert).status == 200
    refused = facade.post(b'{"n":1,"more":2}', query=insert.replace("= 1", "= 0"))
    assert (refused.code, count(facade, table)) == ("117", 1)
