"""The engine: one chDB, one thread, one statement at a time.

Every statement gets a connection of its own (0.1 ms): settings, the current database, temporary tables and read-only
mode end with it, so that no request can see what another one set.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import msgspec
from chdb.session import Session

from devstack.clickhouse import statement
from devstack.clickhouse.errors import TOO_MANY_QUERIES, UNKNOWN_FORMAT, UNKNOWN_SETTING, ClickHouseError

if TYPE_CHECKING:
    from pathlib import Path

SETTING = re.compile(r"\w+")
PYTHON_FORMATS = frozenset({"arrowtable", "dataframe", "datastore", "debug"})
"""Names that make chDB return Python objects instead of bytes."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One statement and its surroundings; ``format`` is for results of statements that name none."""

    statement: statement.Query | statement.Insert
    database: str
    format: str
    settings: dict[str, str]
    parameters: dict[str, str]
    read_only: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    format: str
    summary: dict[str, str]
    """Numbers as text, as in ClickHouse's header ``X-ClickHouse-Summary``."""


class Engine:
    """Owns the path from construction to `close`."""

    def __init__(self, path: Path, *, waiting: int) -> None:
        """``waiting``: how many statements may wait for the one that runs; more are refused."""
        self._limit = waiting + 1
        self._present = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._path = str(path)
        self._keeper: Session = self._thread.submit(Session, self._path).result()  # the engine lives while this is open

    async def execute(self, request: Request) -> Result:
        """Raises `ClickHouseError`."""
        if self._present >= self._limit:
            raise ClickHouseError(TOO_MANY_QUERIES, f"{self._present} statements are waiting already")
        self._present += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._execute, request)
        finally:
            self._present -= 1

    def close(self) -> None:
        """Let the running statement end and free the path for the next process."""
        self._thread.submit(self._keeper.close).result()
        self._thread.shutdown()

    def _execute(self, request: Request) -> Result:
        session = Session(self._path)
        try:
            self._set_up(session, request)
            if isinstance(request.statement, statement.Insert):
                return self._insert(session, request.statement)
            return self._query(session, request.statement, request)
        except RuntimeError as error:  # what chDB raises, for statements and for inserted data alike
            raise ClickHouseError.of_engine(str(error)) from error
        finally:
            session.close()

    @staticmethod
    def _set_up(session: Session, request: Request) -> None:
        if request.database:
            session.query(f"USE {_name(request.database)}")
        for name in request.settings:
            if not SETTING.fullmatch(name):
                raise ClickHouseError(UNKNOWN_SETTING, f"Unknown setting {name!r}")
        settings = [f"{name}={_literal(value)}" for name, value in request.settings.items()]
        if request.read_only:
            settings.append("readonly=2")  # last: nothing can be set afterwards that ends it
        if settings:
            session.query(f"SET {', '.join(settings)}")

    @staticmethod
    def _query(session: Session, query: statement.Query, request: Request) -> Result:
        if request.format.lower() in PYTHON_FORMATS:
            raise ClickHouseError(UNKNOWN_FORMAT, f"Unknown format {request.format}")
        result = session.query(query.sql, request.format, params=request.parameters or None)
        return Result(
            data=bytes(result.bytes() or b"") if result else b"",
            format=query.format or request.format,
            summary={"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read())} if result else {},
        )

    @staticmethod
    def _insert(session: Session, insert: statement.Insert) -> Result:
        # Neither session.send_insert, which reports rows as written that the table refused (a constraint, too many
        # parts, no space), nor data behind the statement, which would end at its first empty line.
        with NamedTemporaryFile(prefix="fleetlog-insert-") as file:
            file.write(insert.data)
            file.flush()
            done = session.query(insert.from_file(file.name))
        return Result(
            data=b"",
            format=insert.format,
            summary={"written_rows": str(done.rows_written()), "written_bytes": str(done.bytes_written())},
        )


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
