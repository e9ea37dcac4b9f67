from __future__ import annotations

import pytest

from devstack.clickhouse.errors import ClickHouseError
from devstack.clickhouse.native import BLOCK_INFO, reframe, split


def text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def block(rows: int, *columns: tuple[str, str, bytes]) -> bytes:
    """A Native block of revision 0: columns of (name, type, data)."""
    return bytes([len(columns), rows]) + b"".join(text(name) + text(kind) + data for name, kind, data in columns)


ONE = ("n", "UInt16", b"\x01\x00\x02\x00")
TWO = ("s", "String", text("a") + text("bc"))


def test_each_block_gets_a_block_info() -> None:
    assert reframe(block(2, ONE) + block(2, TWO), 54_405) == BLOCK_INFO + block(2, ONE) + BLOCK_INFO + block(2, TWO)


def test_from_revision_54454_each_column_says_that_its_serialisation_is_the_usual_one() -> None:
    columns = [text(name) + text(kind) + b"\x00" + data for name, kind, data in (ONE, TWO)]
    assert reframe(block(2, ONE, TWO), 54_454) == BLOCK_INFO + b"\x02\x02" + b"".join(columns)


def test_an_empty_block_has_columns_and_no_data() -> None:
    empty = block(0, ("n", "UInt16", b""), ("l", "LowCardinality(String)", b""))
    assert reframe(empty, 54_405) == BLOCK_INFO + empty


def test_nothing_stays_nothing() -> None:
    assert reframe(b"", 54_454) == b""


@pytest.mark.parametrize("kind", ["Dynamic", "Variant(String, UInt8)", "AggregateFunction(sum, UInt8)"])
def test_a_type_of_unknown_size_is_an_error_instead_of_a_broken_answer(kind: str) -> None:
    with pytest.raises(ClickHouseError, match="Native output of type") as caught:
        reframe(block(1, ("x", kind, b"\x00")), 54_405)
    assert (caught.value.code, caught.value.status) == (48, 501)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("String", ["String"]),
        ("String, UInt8", ["String", "UInt8"]),
        ("a Tuple(x Int8, y Int8), b Array(String)", ["a Tuple(x Int8, y Int8)", "b Array(String)"]),
    ],
)
def test_arguments_are_split_outside_parentheses(arguments: str, parts: list[str]) -> None:
    assert split(arguments) == parts
