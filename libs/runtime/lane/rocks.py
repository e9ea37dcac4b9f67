"""The rows of one partition on disk, with a bounded cache in memory.

A directory stays when its partition goes to another worker, and recovery goes on where it ended when the partition
comes back. Kafka tells of a deletion for ``delete.retention.ms`` only; so what is stored bears the time up to which it
is whole, and is dropped when deletions since then may be gone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import rocksdict

from libs.topics.topic import ROWS

from .part import Change, Part
from .rows import is_dead, revision_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .index import Index
    from .rows import Stored

MAX_AGE: Final = int(ROWS["delete.retention.ms"]) // 2
"""Milliseconds after which stored rows are not recovered from; the other half is for the recovery, and for clocks."""

READAHEAD: Final = 4 * 1024 * 1024
"""Bytes that are read at once where all rows are gone through."""


def now() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def outdated(db: Any, meta_key: bytes, at: int) -> bool:
    """Tell that deletions may be missing in what is stored. ``at``: now, in Unix milliseconds."""
    stored = db.get(meta_key)
    if stored is None:  # fresh; or written by a version that stored it elsewhere
        return any(True for _ in db.keys())  # noqa: SIM118 - a database is no dict
    return abs(at - int(stored.split()[2])) > MAX_AGE


def sequentially() -> rocksdict.ReadOptions:
    """Return how all rows are read one after the other: well ahead, and past the cache, at half the time per row."""
    options = rocksdict.ReadOptions()
    options.set_readahead_size(READAHEAD)
    options.fill_cache(False)
    return options


class RocksPart(Part):
    """Rows as frames in rocksdict; changelog offset, revision and time are written in one batch with them."""

    loads = True

    def __init__(self, number: int, index: Index | None, db: Any, meta_key: bytes, cache: int) -> None:
        """``cache``: rows kept in memory, settled ones beyond it are dropped."""
        super().__init__(number, index)
        self.db, self.meta_key, self.cache = db, meta_key, cache
        stored = db.get(meta_key)
        if stored is not None:
            self.offset, self.revision, _ = map(int, stored.split())

    def load(self, keys: Iterable[bytes]) -> None:
        rows = self.rows
        missing = list({key for key in keys if key not in rows})
        if missing:
            rows.update((k, v) for k, v in zip(missing, self.db.get(missing), strict=True) if v is not None)

    def peek(self, key: bytes) -> Stored:
        row: Stored = self.rows.get(key)
        return row if row is not None else self.db.get(key)

    def items(self) -> Iterator[tuple[bytes, Any]]:
        return ((key, row) for key, row in self.everything() if key[0])

    def living(self) -> list[bytes]:
        return [key for key, stored in self.items() if not is_dead(stored)]

    def everything(self) -> Iterator[tuple[bytes, Any]]:
        cached = {key: row for key, row in self.rows.items() if key != self.meta_key}
        yield from cached.items()
        for key, value in self.db.items(read_opt=sequentially()):
            if key not in cached and key != self.meta_key:
                yield key, value

    def settle(self, changed: Sequence[Change], offset: int | None, revision: int, *, purge: bool) -> None:
        if offset is None:
            return
        self._write(((change["key"], change["value"]) for change in changed), offset, now())
        rows = self.rows
        if purge:
            for change in changed:
                self._forget(change["key"], revision)
        if len(rows) > self.cache:
            self._evict([c["key"] for c in changed] if len(rows) < 2 * self.cache else list(rows), revision)

    def _evict(self, keys: Sequence[bytes], revision: int) -> None:
        """Drop rows from memory unless a later slice, not settled yet, changed them."""
        rows = self.rows
        for key in keys:
            row = rows.get(key)
            if row is not None and revision_of(row) <= revision:
                del rows[key]

    def complete(self, at: int) -> None:
        if self.offset is not None:
            self._write((), self.offset, at)

    def store(self, fresh: dict[bytes, bytes | None], offset: int, at: int) -> None:
        self._write(fresh.items(), offset, at)
        self.rows.clear()  # recovery runs with nothing in flight

    def _write(self, changes: Iterable[tuple[bytes, bytes | None]], offset: int, at: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.meta_key, b"%d %d %d" % (offset, self.revision, at))
        self.db.write(batch)
        self.offset = offset
