"""The rows of one partition on disk, with a bounded cache in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rocksdict

from .part import Change, Part
from .rows import is_dead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .index import Index
    from .rows import Stored


class RocksPart(Part):
    """Rows as frames in rocksdict; changelog offset and revision are written in one batch with them."""

    loads = True

    def __init__(self, number: int, index: Index | None, db: Any, meta_key: bytes, cache: int) -> None:
        """``cache``: rows kept in memory, settled ones beyond it are dropped."""
        super().__init__(number, index)
        self.db, self.meta_key, self.cache = db, meta_key, cache
        stored = db.get(meta_key)
        if stored is not None:
            offset, revision = stored.split()
            self.offset, self.revision = int(offset), int(revision)

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
        for key, value in self.db.items():
            if key not in cached and key != self.meta_key:
                yield key, value

    def settle(self, changed: Sequence[Change], offset: int | None, revision: int, *, purge: bool) -> None:
        if offset is None:
            return
        self._write(((change["key"], change["value"]) for change in changed), offset)
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
            if row is not None and (isinstance(row, bytes) or row.revision <= revision):
                del rows[key]

    def store(self, fresh: dict[bytes, bytes | None], offset: int) -> None:
        self._write(fresh.items(), offset)
        self.rows.clear()  # recovery runs with nothing in flight

    def _write(self, changes: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.meta_key, b"%d %d" % (offset, self.revision))
        self.db.write(batch)
        self.offset = offset
