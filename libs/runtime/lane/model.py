"""What the author of a lane sees: positions, outputs and what a broadcast may sweep. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

S = TypeVar("S")
C = TypeVar("C")

ANY_PARTITION = -1

Term: TypeAlias = tuple[str, str | int]
"""A name and a value by which an index finds rows, such as ``("tag", "line-4")``."""

Output: TypeAlias = tuple[str, bytes | None, bytes | None, int]
"""Topic, key, value, partition; `ANY_PARTITION` lets the key decide. No value: the key's document is deleted."""


class At(msgspec.Struct, frozen=True, gc=False):
    """Where and when an event is: everything that a step may know besides its arguments."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970, as the record carries them."""
    key: bytes
    """Of the row; in ``fold_shared`` of the record."""
    swept: bool = False
    """The row is visited by a broadcast's sweep; the event is the broadcast."""

    def id(self, n: int = 0) -> str:
        """Identity of the n-th output of this event: ``topic-partition-offset[-key]-n``, the same on every replay."""
        where = f"{self.topic}-{self.partition}-{self.offset}"
        return f"{where}-{self.key.decode(errors='backslashreplace')}-{n}" if self.swept else f"{where}-{n}"


class Everything(msgspec.Struct, frozen=True, array_like=True, tag="all"):
    """Sweep every row of the partition."""


class Terms(msgspec.Struct, frozen=True, array_like=True, tag="terms"):
    """Sweep the rows that carry any of these index terms."""

    terms: tuple[Term, ...]


class Due(msgspec.Struct, frozen=True, array_like=True, tag="due"):
    """Sweep the rows whose deadline is at or before ``now``, earliest first."""

    now: int


class Keys(msgspec.Struct, frozen=True, array_like=True, tag="keys"):
    """Sweep these rows, as far as they exist in this partition."""

    keys: tuple[bytes, ...]


Targets: TypeAlias = Everything | Terms | Due | Keys

Step: TypeAlias = Callable[[Any, Any, At, Any], tuple[Any, Sequence[Output]]]
"""``step(row | None, event, at, shared) -> (row | None, outputs)``.

Pure, and it never changes its arguments: the same row means "no change", another one replaces it, None deletes it.
"""


class Shared(msgspec.Struct, Generic[S, C], frozen=True):
    """What steps see as ``shared`` in a lane with cells: the partition's reference data, read-only."""

    state: S
    cells: Mapping[str, C]


class Folded(msgspec.Struct, Generic[S, C], frozen=True):
    """What a broadcast makes of the reference data, where a pair of state and targets does not say enough."""

    state: S
    targets: Targets | None = None
    cells: Mapping[str, C | None] = {}
    """Cells to set, by name; None deletes."""


FoldShared: TypeAlias = Callable[[Any, Any, At], tuple[Any, Targets | None] | Folded[Any, Any]]
"""``fold_shared(shared, event, at) -> (state, targets | None) | Folded``: folds a broadcast, names the rows to sweep.

Pure. ``shared`` is the state; in a lane with cells it is `Shared`.
"""


class Sweep(msgspec.Struct, frozen=True):
    """What came of a broadcast's sweep in one partition: the same whether or not a crash cut it in two."""

    matched: int
    """How many rows the broadcast named when it was folded; 0 if none."""
    visited: Iterator[Any]
    """The rows on which their visit had an effect, as it left them, in no order; None in place of one that it deleted.

    Not among them: rows that the step gave back unchanged, without an output. Among them, as they were before: rows
    that gave an output alone, and those whose visit became a dead letter. It goes through them once; rows on disk are
    read as it goes.
    """


Swept: TypeAlias = Callable[[Any, Any, At, Sweep], Sequence[Output]]
"""``swept(shared, event, at, sweep) -> outputs``: what a partition says after a broadcast's sweep. Pure."""

Decode: TypeAlias = Callable[[bytes | None], Any]
"""A record's value to an event. `libs.topics.codec.UnknownKind`: skipped; any other exception: a dead letter."""

TermsOf: TypeAlias = Callable[[Any], Sequence[Term]]
"""The terms that a row is found by, or listed under."""

DeadlineOf: TypeAlias = Callable[[Any], int | None]
"""When a row wants to be swept by `Due`, in milliseconds since 1970; None: never."""

View: TypeAlias = Callable[[bytes, Any, Any], msgspec.Struct | None]
"""``view(key, row | None, shared) -> document | None``: what is shown of a row over HTTP; None: 404. Pure."""


Tallied: TypeAlias = str | tuple[str, ...]
"""What rows are counted by."""

TallyOf: TypeAlias = Callable[[bytes, Any], Tallied | None]
"""``tally(key, row) -> value | None``: the value that a row counts under; None: under none. Pure."""


def send(topic: str, key: bytes | None, value: bytes) -> Output:
    """Make an output whose key decides the partition."""
    return (topic, key, value, ANY_PARTITION)


def retract(topic: str, key: bytes) -> Output:
    """Make an output that deletes the key's document in a compacted topic."""
    return (topic, key, None, ANY_PARTITION)


def reply(topic: str, partition: int, correlation: bytes, value: bytes) -> Output:
    """Make an answer to the asker's own partition of a replies topic, keyed by the correlation id."""
    return (topic, correlation, value, partition)
