"""The rows of one partition.

`Part.rows` always holds what is not settled yet. ``offset`` is the changelog offset that the stored rows are complete
up to, ``revision`` the highest one seen, ``shared`` the partition's own row as of the last broadcast folded, ``cells``
what the cells hold then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .rows import (
    GENERATION_SHIFT,
    PREFIX,
    SHARED_KEY,
    Cell,
    Codec,
    Dead,
    Row,
    SharedRow,
    Stored,
    cell_name,
    is_dead,
    prefix_of,
    revision_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .index import Index

BUILD_SLICE = 250
"""Rows indexed without yielding to the event loop; that many large ones are still in the processor's cache when they
are decoded."""

Change: TypeAlias = dict[str, Any]
"""``{"key": bytes, "value": frame or None}``, as librdkafka's batch call takes it."""


class Record(Protocol):
    """A Kafka record, as aiokafka hands it over."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""


class Part:
    """All rows in memory: frames until first touched, then `Row` objects; in a lane with heads, frames always."""

    loads = False
    """`load` has something to do."""

    def __init__(self, number: int, index: Index | None) -> None:
        self.number, self.index = number, index
        self.offset: int | None = None
        self.revision = 0
        self.rows: dict[bytes, Any] = {}  # bytes | Row; the author's type is known to the codec alone
        self.shared: SharedRow[Any] | None = None
        self.cells: dict[str, Any] = {}
        self.built = False  # index and graves describe the rows
        self.graves: deque[tuple[bytes, Dead]] = deque()  # deleted rows, oldest first
        self.sweep: Iterator[None] | None = None  # the broadcast under way
        self.sweep_event: Any = None
        self.held: deque[Any] = deque()  # slices waiting behind it
        self._building: object | None = None

    def next_revision(self, generation: int) -> int:
        self.revision = max(self.revision + 1, generation << GENERATION_SHIFT)
        return self.revision

    # -- access
    def load(self, keys: Iterable[bytes]) -> None:
        """Make ``rows`` hold these keys, as far as they exist."""

    def peek(self, key: bytes) -> Stored:
        """Return a row for reading; ``rows`` stays as it is."""
        stored: Stored = self.rows.get(key)
        return stored

    def items(self) -> Iterator[tuple[bytes, Any]]:
        """Every row, unsettled changes included; not those of the lane itself."""
        rows = self.rows
        return ((key, rows[key]) for key in list(rows) if key[0] and key in rows)

    def everything(self) -> Iterator[tuple[bytes, Any]]:
        """Every row, those of the lane itself among them."""
        rows = self.rows
        return ((key, rows[key]) for key in list(rows) if key in rows)

    def keys(self) -> list[bytes]:
        return [key for key, _ in self.items()]

    def living(self) -> list[bytes]:
        """List the keys of the rows that are not deleted; the event loop stands still meanwhile."""
        return [key for key, stored in self.rows.items() if key[0] and not is_dead(stored)]

    # -- own writes, after the changelog acknowledged them
    def settle(self, changed: Sequence[Change], offset: int | None, revision: int, *, purge: bool) -> None:
        """Take note that the changelog has the changes, up to ``offset``. ``purge``: each drops a tombstone."""
        if offset is None:
            return
        if purge:
            for change in changed:
                self._forget(change["key"], revision)
        elif changed[0]["key"] == SHARED_KEY:  # where there is one, it comes first
            self.rows[SHARED_KEY] = changed[0]["value"]
        self.offset = offset

    def complete(self, at: int) -> None:
        """Take note that recovery has brought everything that the changelog had ``at`` (Unix milliseconds)."""

    def _forget(self, key: bytes, revision: int) -> None:
        row = self.rows.get(key)
        if row is not None and is_dead(row) and revision_of(row) <= revision:
            del self.rows[key]

    # -- recovery and standby
    def apply(self, records: Sequence[Record]) -> None:
        """Take a changelog slice: a key's last record wins, but never with a lower revision (a zombie's late row)."""
        self.load(record.key for record in records if record.key is not None)
        rows = self.rows
        fresh: dict[bytes, bytes | None] = {}
        highest = b""
        for record in records:
            key, value = record.key, record.value
            if not key:
                continue  # none of ours: every row has a key
            if value is not None:
                old = fresh.get(key) or rows.get(key)
                if old is not None and value[:PREFIX] < prefix_of(old):
                    continue
                highest = max(highest, value[:PREFIX])
            fresh[key] = value
        if highest:
            self.revision = max(self.revision, revision_of(highest))
        self.built, self.shared, self._building = False, None, None
        self.store(fresh, records[-1].offset, records[-1].timestamp)

    def store(self, fresh: dict[bytes, bytes | None], offset: int, at: int) -> None:  # noqa: ARG002 - for rows on disk
        """Keep applied frames; None deletes. ``at``: when the changelog ended there."""
        self.rows.update(fresh)
        for key in [key for key, value in fresh.items() if value is None]:
            del self.rows[key]
        self.offset = offset

    async def build(self, codec: Codec) -> None:
        """Derive index, graves and cells from the rows; a newer build or an applied slice ends this one."""
        token = self._building = object()
        for _ in self.derive(codec):
            await asyncio.sleep(0)
            if self._building is not token:
                return

    def derive(self, codec: Codec) -> Iterator[None]:
        """Do what `build` does; yields where others may get a turn."""
        graves: list[tuple[bytes, Dead]] = []
        cells: dict[str, Any] = {}
        filling = None if self.index is None else self.index.filling()
        everything, head = self.everything(), codec.head
        while some := list(islice(everything, BUILD_SLICE)):
            living = [one for one in some if one[0][0] and not is_dead(one[1])]
            if len(living) < len(some):
                graves += self._others(some, codec, cells)
            if filling is not None:
                rows = [head(stored) if stored.__class__ is bytes else stored for _, stored in living]
                filling.add([key for key, _ in living], rows)
            yield
        if filling is not None:
            filling.finish()
        self._redo(codec, cells)
        graves.sort(key=lambda grave: grave[1].revision)
        self.graves, self.cells, self.built = deque(graves), cells, True

    def _others(
        self, some: Iterable[tuple[bytes, Any]], codec: Codec, cells: dict[str, Any]
    ) -> Iterator[tuple[bytes, Dead]]:
        """Add cells to the others; yields rows and cells that are deleted."""
        for key, stored in some:
            if not key[0]:
                row: Any = self._cell(key, stored, codec, cells)
            elif is_dead(stored):
                row = codec.thaw(stored) if isinstance(stored, bytes) else stored
            else:
                continue
            if isinstance(row, Dead):
                yield key, row

    def _cell(self, key: bytes, stored: Any, codec: Codec, cells: dict[str, Any]) -> Row | None:
        """Add a cell to the others; None: the row is none."""
        name = cell_name(key)
        if name is None:
            return None
        row: Row = codec.thaw_cell(stored) if isinstance(stored, bytes) else stored
        if isinstance(row, Cell):
            cells[name] = row.state
        if key in self.rows:
            self.rows[key] = row  # not the frame too
        return row

    def _redo(self, codec: Codec, cells: dict[str, Any]) -> None:
        """Change cells as the last broadcast did: a crash may have been faster than their own rows."""
        head = self.peek(SHARED_KEY)
        if not isinstance(head, bytes):
            return
        for name, encoded in codec.thaw_shared(head).cells.items():
            state = codec.cell_state(encoded)
            if state is None:
                cells.pop(name, None)
            else:
                cells[name] = state
