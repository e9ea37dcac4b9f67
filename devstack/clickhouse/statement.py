"""What a request asks for: one statement, and for an INSERT the data behind it. Pure.

ClickHouse reads the ``query`` parameter and the body as one text, parameter first; the data of an INSERT begins after
``FORMAT name`` and at most one line end.
"""

from __future__ import annotations

import re

import msgspec

from devstack.clickhouse.errors import SUPPORT_IS_DISABLED, SYNTAX_ERROR, ClickHouseError

QUOTED = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'    # string
      | --[^\n]*                # comments
      | \#[!\ ][^\n]*
      | /\*.*?\*/
      | (?P<name>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")""",
    re.VERBOSE | re.DOTALL,
)
INSERT = re.compile(r"\s*INSERT\s", re.IGNORECASE)
DATA = re.compile(r"\bFORMAT\s+(\w+)[ \t]*;?[ \t]*(?:\r?\n)?", re.IGNORECASE)
NO_DATA = re.compile(r"\b(?:SELECT|VALUES|WITH|WATCH)\b", re.IGNORECASE)
RESULT = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\b[^;]*)?\s*;?\s*\Z", re.IGNORECASE)
SETTINGS = re.compile(r"\bSETTINGS\b", re.IGNORECASE)
SECOND = re.compile(r";\s*[^\s;]")
CREATES = re.compile(r"\s*(?:CREATE|ATTACH|REPLACE)\b", re.IGNORECASE)
ENGINE = re.compile(r"\bENGINE\s*=?\s*[`\"]?(\w+)", re.IGNORECASE)

HEAD = 65_536
"""An INSERT in the body must name its format within so many bytes."""

REFUSED_ENGINES = frozenset({"kafka", "rabbitmq", "nats", "s3queue", "azurequeue", "filelog"})
"""Engines that consume in the background. chDB 26.9 writes the definition of a Kafka table, then fails on it at every
start: the path can never be opened again. The others are not built in or want a Keeper; a later build may differ."""


class Query(msgspec.Struct, frozen=True):
    """A statement that is all text. ``format`` is what it asks its result in, "" where it does not say."""

    sql: str
    format: str


class Insert(msgspec.Struct, frozen=True):
    """``sql`` ends before FORMAT; ``data`` is in ``format``."""

    sql: str
    format: str
    data: bytes

    def from_file(self, path: str) -> str:
        """Return the statement that reads its data from ``path``, a name without quotes or wildcards."""
        settings = SETTINGS.search(skeleton(self.sql, names=False))
        end = settings.start() if settings else len(self.sql)
        return f"{self.sql[:end]} FROM INFILE '{path}' {self.sql[end:]} FORMAT {self.format}"


def skeleton(sql: str, *, names: bool) -> str:
    """The text without strings and comments, every other character at its place; ``names``: keep quoted names."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if names and found["name"] else " " * len(found[0])

    return QUOTED.sub(blank, sql)


def parse(query: str, body: bytes) -> Query | Insert:
    """Raises `ClickHouseError` for what is not one statement or must not reach the engine."""
    insert = _insert(query, body)
    if insert is not None:
        return insert
    try:
        sql = f"{query}\n{body.decode()}" if query and body else query or body.decode()
    except UnicodeDecodeError as error:
        raise ClickHouseError(SYNTAX_ERROR, f"the statement is not UTF-8: {error}") from error
    bare = skeleton(sql, names=False)
    if SECOND.search(bare):
        raise ClickHouseError(SYNTAX_ERROR, "Multi-statements are not allowed")
    if CREATES.match(bare):
        _refuse_engines(sql)
    asked = RESULT.search(bare)
    return Query(sql, asked[1] if asked else "")


def _insert(query: str, body: bytes) -> Insert | None:
    # one byte is one character in latin-1: places found in the text are places in the bytes
    head = query.encode() if query else body[:HEAD]
    rest = body if query else body[HEAD:]
    bare = skeleton(head.decode("latin-1"), names=False)
    if not INSERT.match(bare):
        return None
    data = DATA.search(bare)
    if data is None or NO_DATA.search(bare, 0, data.start()):
        return None
    inline = head[data.end() :]
    return Insert(head[: data.start()].decode(), data[1], inline + rest if inline else rest)


def _refuse_engines(sql: str) -> None:
    for engine in ENGINE.findall(skeleton(sql, names=True)):
        if engine.lower() in REFUSED_ENGINES:
            raise ClickHouseError(
                SUPPORT_IS_DISABLED,
                f"Table engine {engine} is not supported here: the embedded engine could never open its path again",
            )
