"""Rows and their wire form in the changelog and in the store.

A frame is 8 bytes big-endian, ``revision << 1 | dead``, then the row in msgpack. Revisions rise with every write of a
partition and start above those of earlier group generations, so the first 8 bytes of two frames tell the older one
without decoding: the late row of a worker that lost its partition always loses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

from .model import Targets

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")

SHARED_KEY = b"\x00shared"
"""Changelog key of the partition's own row. Keys that begin with a zero byte are never a device's."""

CELL = b"\x00cell:"
"""Changelog keys of cells begin with it; the name follows."""

PREFIX = 8
GENERATION_SHIFT = 32


class Row(msgspec.Struct, array_like=True, gc=False):
    """Base of table rows. Declare fields with ``kw_only=True`` and append new ones; these two belong to the lane."""

    revision: int = 0
    offset: int = -1
    """Last offset of the inbox that is recorded in this row; events at or before it are replays."""


class Dead(Row):
    """A deleted row: only its position, until no replay can reach it."""


class SharedRow(Row, Generic[S], kw_only=True):
    """The partition's own row: reference data folded from broadcasts; ``offset`` is that of the last one."""

    targets: Targets | None = None
    """What the last broadcast sweeps; used again only if that broadcast is replayed."""
    state: S
    inbox: str = ""
    """Kafka's id of the topic whose offsets the rows hold; one that is created anew has another."""
    matched: int = 0
    """How many rows the last broadcast's targets named when it was folded."""
    cells: dict[str, msgspec.Raw] = {}
    """What the last broadcast made of cells, encoded; nil: deleted. Their own rows follow this one."""


class Cell(Row, Generic[S], kw_only=True):
    """A piece of reference data with a changelog row of its own; ``offset`` is that of the broadcast that set it."""

    state: S


Stored: TypeAlias = bytes | Row | None
"""A row as kept in memory: framed until it is first touched."""


def prefix(revision: int, *, dead: bool = False) -> bytes:
    return (revision << 1 | dead).to_bytes(PREFIX, "big")


def prefix_of(stored: bytes | Row) -> bytes:
    """Return what orders two versions of a row."""
    if isinstance(stored, bytes):
        return stored[:PREFIX]
    return prefix(stored.revision, dead=stored.__class__ is Dead)


def revision_of(stored: bytes | Row) -> int:
    if not isinstance(stored, bytes):
        return stored.revision
    return int.from_bytes(stored[:PREFIX], "big") >> 1


def is_dead(stored: bytes | Row) -> bool:
    return stored[PREFIX - 1] & 1 == 1 if stored.__class__ is bytes else stored.__class__ is Dead


def cell_key(name: str) -> bytes:
    return CELL + name.encode()


def cell_name(key: bytes) -> str | None:
    """Return the name of the cell that has this key, None for the key of anything else."""
    return key[len(CELL) :].decode() if key.startswith(CELL) else None


class Codec:
    """Turns the rows of one lane into frames and back."""

    def __init__(
        self, row_type: type[Row], shared_type: Any, cell_type: Any = Any, head_type: type[Row] | None = None
    ) -> None:
        """``head_type``: of a row's first fields, where what rows are found by needs no others."""
        self._head: Callable[[bytes], Row] = msgspec.msgpack.Decoder(head_type or row_type).decode
        self._live: Callable[[bytes | memoryview], Row] = msgspec.msgpack.Decoder(row_type).decode
        # Decodes a row that lives, too, as far as its position; what follows is skipped.
        self._dead: Callable[[bytes | memoryview], Row] = msgspec.msgpack.Decoder(Dead).decode
        self._shared: Callable[[memoryview], SharedRow[Any]] = msgspec.msgpack.Decoder(SharedRow[shared_type]).decode
        self.decision: Callable[[bytes], Any] = msgspec.msgpack.Decoder(tuple[shared_type, Targets | None]).decode
        self._cell: Callable[[memoryview], Cell[Any]] = msgspec.msgpack.Decoder(Cell[cell_type]).decode
        self.cell_state: Callable[[msgspec.Raw], Any] = msgspec.msgpack.Decoder(cell_type | None).decode
        self.encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode

    def thaw(self, framed: bytes) -> Row:
        """Decode the author's row, or `Dead`. Raises `msgspec.DecodeError`."""
        decode = self._dead if framed[PREFIX - 1] & 1 else self._live
        return decode(framed[PREFIX:])  # sooner copied than viewed

    def head(self, framed: bytes) -> Row:
        """Decode the first fields of a row that lives. Raises `msgspec.DecodeError`."""
        return self._head(framed[PREFIX:])

    def offset(self, stored: bytes | Row) -> int:
        """Return the last offset that is recorded in a row, without decoding its content."""
        return (self._dead(memoryview(stored)[PREFIX:]) if isinstance(stored, bytes) else stored).offset

    def thaw_shared(self, framed: bytes) -> SharedRow[Any]:
        """Decode the shared row. Raises `msgspec.DecodeError`."""
        return self._shared(memoryview(framed)[PREFIX:])

    def thaw_cell(self, framed: bytes) -> Cell[Any] | Dead:
        """Decode a cell, or what is left of it. Raises `msgspec.DecodeError`."""
        decode: Callable[[memoryview], Any] = self._dead if is_dead(framed) else self._cell
        found: Cell[Any] | Dead = decode(memoryview(framed)[PREFIX:])
        return found
