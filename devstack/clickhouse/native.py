"""Native blocks for clients that name a protocol revision.

chDB writes Native as of revision 0. A client that sends ``client_protocol_version`` (clickhouse-go, and with it
Grafana's data source; clickhouse-connect) expects a block info in front of each block and, from revision 54454 on, a
flag behind each column's type that says whether its serialisation is a custom one.

Walking over the blocks needs the size of every column, hence the table of types. Source: ``NativeWriter.cpp``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from devstack.clickhouse.errors import NOT_IMPLEMENTED, ClickHouseError

if TYPE_CHECKING:
    from collections.abc import Callable

CUSTOM_SERIALISATION = 54_454
BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Field 1 ``is_overflows`` = 0, field 2 ``bucket_num`` = -1 as Int32, end."""

WIDTHS = {
    **dict.fromkeys(("Bool", "UInt8", "Int8", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("UInt16", "Int16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("UInt32", "Int32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32", "Time"), 4),
    **dict.fromkeys(("UInt64", "Int64", "Float64", "DateTime64", "Decimal64", "Time64"), 8),
    **dict.fromkeys(("UInt128", "Int128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("UInt256", "Int256", "Decimal256"), 32),
}
"""Bytes of one value."""

DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))
"""(largest precision, bytes)."""

TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
ELEMENT_NAME = re.compile(r"^(?:`[^`]*`|\w+) (?=\w)")


def reframe(data: bytes, revision: int) -> bytes:
    """The blocks of ``data`` (revision 0) as of ``revision``. Raises `ClickHouseError` for a type it cannot size."""
    out: list[bytes] = []
    place = 0
    while place < len(data):
        start = place
        columns, place = _varint(data, place)
        rows, place = _varint(data, place)
        out += (BLOCK_INFO, data[start:place])
        for _ in range(columns):
            start = place
            _, place = _text(data, place)
            kind, place = _text(data, place)
            out.append(data[start:place])
            if revision >= CUSTOM_SERIALISATION:
                out.append(b"\x00")
            start = place
            if rows:
                # each LowCardinality in the type puts a version of 8 bytes in front of the column
                place = _skip(kind, rows, data, place + 8 * kind.count("LowCardinality("))
            out.append(data[start:place])
    return b"".join(out)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def _text(data: bytes, place: int) -> tuple[str, int]:
    length, place = _varint(data, place)
    return data[place : place + length].decode(), place + length


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 8], "little")


def _skip(kind: str, rows: int, data: bytes, place: int) -> int:
    """Where the column that begins at ``place`` ends."""
    found = TYPE.fullmatch(kind)
    name, inner = (found[1], found[2] or "") if found else (kind, "")
    if name in WIDTHS:
        return place + rows * WIDTHS[name]
    if name in SKIP:
        return SKIP[name](inner, rows, data, place)
    raise ClickHouseError(NOT_IMPLEMENTED, f"Native output of type {kind} for a client with a protocol version")


def _skip_strings(_inner: str, rows: int, data: bytes, place: int) -> int:
    for _ in range(rows):
        length, place = _varint(data, place)
        place += length
    return place


def _skip_fixed_strings(inner: str, rows: int, _data: bytes, place: int) -> int:
    return place + rows * int(inner)


def _skip_decimals(inner: str, rows: int, _data: bytes, place: int) -> int:
    precision = int(inner.split(",", maxsplit=1)[0])
    return place + rows * next(width for limit, width in DECIMAL_WIDTHS if precision <= limit)


def _skip_nullables(inner: str, rows: int, data: bytes, place: int) -> int:
    """One flag per row, then the values."""
    return _skip(inner, rows, data, place + rows)


def _skip_arrays(inner: str, rows: int, data: bytes, place: int) -> int:
    """Where each row's elements end, counted from the first, then the elements of all rows."""
    elements = _number(data, place + 8 * (rows - 1)) if rows else 0
    return _skip(inner, elements, data, place + 8 * rows)


def _skip_maps(inner: str, rows: int, data: bytes, place: int) -> int:
    return _skip(f"Array(Tuple({inner}))", rows, data, place)


def _skip_tuples(inner: str, rows: int, data: bytes, place: int) -> int:
    for element in split(inner):
        place = _skip(ELEMENT_NAME.sub("", element), rows, data, place)
    return place


def _skip_dictionaries(inner: str, rows: int, data: bytes, place: int) -> int:
    """Flags, dictionary, then one index per row; the lowest byte of the flags is the logarithm of an index' width."""
    if not rows:
        return place
    width = 1 << (_number(data, place) & 255)
    nullable = inner.startswith("Nullable(")
    values = inner.removeprefix("Nullable(").removesuffix(")") if nullable else inner
    place = _skip(values, _number(data, place + 8), data, place + 16)
    return place + 8 + _number(data, place) * width


def _skip_simple_aggregates(inner: str, rows: int, data: bytes, place: int) -> int:
    return _skip(split(inner)[1], rows, data, place)


SKIP: dict[str, Callable[[str, int, bytes, int], int]] = {
    "String": _skip_strings,
    "FixedString": _skip_fixed_strings,
    "Decimal": _skip_decimals,
    "Nullable": _skip_nullables,
    "Array": _skip_arrays,
    "Map": _skip_maps,
    "Tuple": _skip_tuples,
    "LowCardinality": _skip_dictionaries,
    "SimpleAggregateFunction": _skip_simple_aggregates,
}
"""How columns of other than fixed width are passed over: (type's arguments, rows, data, place) -> end."""


def split(arguments: str) -> list[str]:
    """The arguments of a type: split at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(arguments):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(arguments[start:place].strip())
            start = place + 1
    return [*parts, arguments[start:].strip()]
