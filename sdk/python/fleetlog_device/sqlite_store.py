"""The default store: one sqlite file per device."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .buffer import Uplink
from .errors import StoreMismatch
from .requests import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE requests (
  place INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE,
  taken_at INTEGER NOT NULL, topic TEXT NOT NULL, outcome BLOB, answered INTEGER NOT NULL
);
CREATE INDEX unanswered ON requests (place) WHERE NOT answered;
CREATE TABLE uplinks (number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
IDENTITY: Final = "identity"


def default_path(product: str, device: str) -> Path:
    """Below ``$XDG_STATE_HOME``, or ``~/.local/state``: ``fleetlog-device/{product}/{device}.sqlite3``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fleetlog-device" / product / f"{device}.sqlite3"


class SqliteStore:
    """A `Store` in a file that only its owner may read, since it may hold the device's secret. One process at a time.

    Every call is one transaction, and survives the process. Requests and facts are on disk when it returns, and so
    survive a power cut (``synchronous=FULL``). Uplinks get there with the system's own writing or the next of the
    others (``NORMAL``): a sync for each would be one or two hundred a second on a memory card, and wear it out.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("the store is not open")
        return self._connection

    def open(self, identity: str) -> None:
        if self._connection is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        # autocommit: each statement is a transaction of its own; used from the event loop's thread only
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            self._prepare(connection, identity)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection, identity: str) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # `_quickly` makes the exceptions
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        elif version != VERSION:
            raise StoreMismatch(f"{self.path} was written by another version of this package ({version})")
        connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (IDENTITY, identity))
        (owner,) = connection.execute("SELECT value FROM facts WHERE key = ?", (IDENTITY,)).fetchone()
        if owner != identity:
            raise StoreMismatch(f"{self.path} belongs to {owner}, not to {identity}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(self, request_id: str) -> Request | None:
        row = self._db.execute(
            "SELECT request_id, taken_at, topic, outcome, answered FROM requests WHERE request_id = ?", (request_id,)
        ).fetchone()
        return None if row is None else _request(row)

    def put_request(self, request: Request) -> None:
        self._db.execute(
            "INSERT INTO requests (request_id, taken_at, topic, outcome, answered) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (request_id) DO UPDATE SET outcome = excluded.outcome, answered = excluded.answered",
            (request.request_id, request.taken_at, request.topic, request.outcome, request.answered),
        )

    def unanswered(self) -> list[Request]:
        rows = self._db.execute(
            "SELECT request_id, taken_at, topic, outcome, answered FROM requests WHERE NOT answered ORDER BY place"
        )
        return [_request(row) for row in rows]

    def prune_requests(self, before: int, keep: int) -> None:
        self._db.execute(
            "DELETE FROM requests WHERE answered AND (taken_at < ? OR place NOT IN"
            " (SELECT place FROM requests WHERE answered ORDER BY place DESC LIMIT ?))",
            (before, keep),
        )

    def get(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, value))

    def uplinks(self) -> list[Uplink]:
        rows = self._db.execute("SELECT number, topic, payload FROM uplinks ORDER BY number")
        return [Uplink(*row) for row in rows]

    def add_uplink(self, uplink: Uplink) -> None:
        with self._quickly() as db:
            db.execute("INSERT INTO uplinks VALUES (?, ?, ?)", (uplink.number, uplink.topic, uplink.payload))

    def remove_uplinks(self, numbers: list[int]) -> None:
        with self._quickly() as db:
            db.executemany("DELETE FROM uplinks WHERE number = ?", [(number,) for number in numbers])

    @contextmanager
    def _quickly(self) -> Iterator[sqlite3.Connection]:
        """For what may be lost, or come back, when the power fails."""
        db = self._db
        db.execute("PRAGMA synchronous=NORMAL")
        try:
            yield db
        finally:
            db.execute("PRAGMA synchronous=FULL")


def _request(row: tuple[str, int, str, bytes | None, int]) -> Request:
    request_id, taken_at, topic, outcome, answered = row
    return Request(request_id, taken_at, topic, outcome, answered=bool(answered))
