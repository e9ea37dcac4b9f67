"""What a lane left behind, held against the replay of its inbox: rows and logs byte for byte.

A crash makes a lane say again what it had said, with the same bytes, and never out of order for a key. So a log equals
its replay when, of each key, the messages without repetitions are the same in the same order. Rows equal it when they
encode to the same bytes, the recorded offset included; only revisions depend on what the workers went through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from .part import Part
from .replay import cells, living, plain
from .rows import SHARED_KEY, SharedRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .model import Output
    from .part import Record
    from .replay import Replayed
    from .rows import Cell

Said: TypeAlias = dict[bytes | None, dict[str | bytes, bytes]]
"""By key: messages by identity, in order."""


class _Identified(msgspec.Struct):
    id: str = ""


_identified = msgspec.json.Decoder(_Identified)


def identity(value: bytes) -> str | bytes:
    """Tell messages apart from repetitions: a JSON object's ``id``, else all of the message."""
    try:
        return _identified.decode(value).id or value
    except msgspec.DecodeError:
        return value


def everything(_key: bytes | None) -> bool:
    return True


def compare(
    replayed: Replayed,
    changelog: Mapping[int, Sequence[Record]],
    logs: Mapping[str, Iterable[Record]],
    only: Callable[[bytes | None], bool] = everything,
) -> list[str]:
    """Say in a sentence each what differs; nothing: all is exact.

    ``changelog``: records by partition, in order, of a lane at rest. ``logs``: records by topic, in order per key,
    without those of other producers; a topic that the replay writes to and that is not among them counts as empty.
    ``only``: the keys of rows and messages to compare; of the partitions' shared rows and cells,
    all are.
    """
    found = list(_rows(replayed, changelog, only))
    for topic in sorted(replayed.outputs.keys() | logs.keys()):
        found += _log(topic, replayed.outputs.get(topic, ()), logs.get(topic, ()), only)
    return found


def _rows(
    replayed: Replayed, changelog: Mapping[int, Sequence[Record]], only: Callable[[bytes | None], bool]
) -> Iterator[str]:
    codec = replayed.codec
    for number in sorted(replayed.rows.keys() | changelog.keys()):
        part = Part(number, None)
        if changelog.get(number):
            part.apply(changelog[number])
        live, wanted = living(part, codec), replayed.rows.get(number, {})
        for key in sorted(filter(only, live.keys() | wanted.keys())):
            row, other = live.get(key), wanted.get(key)
            if row is None or other is None or codec.encode(row) != codec.encode(other):
                yield f"row {key!r} of partition {number} is {row}, replayed it is {other}"
        yield from _cells(replayed, number, cells(part, codec))
        frame = part.peek(SHARED_KEY)
        shared = plain(codec.thaw_shared(frame)) if isinstance(frame, bytes) else None
        expected = replayed.shared.get(number)
        if not _same_shared(replayed, shared, expected):
            yield f"the shared row of partition {number} is {shared}, replayed it is {expected}"


def _cells(replayed: Replayed, number: int, live: Mapping[str, Cell[Any]]) -> Iterator[str]:
    encode, wanted = replayed.codec.encode, replayed.cells.get(number, {})
    for name in sorted(live.keys() | wanted.keys()):
        cell, other = live.get(name), wanted.get(name)
        if encode(cell) != encode(other):
            yield f"cell {name!r} of partition {number} is {cell}, replayed it is {other}"


def _same_shared(replayed: Replayed, live: SharedRow[object] | None, wanted: SharedRow[object] | None) -> bool:
    if live is None or wanted is None:  # before the first broadcast there need not be one
        return (live or wanted or SharedRow(state=None)).offset < 0
    return replayed.codec.encode(live) == replayed.codec.encode(wanted)


def _log(
    topic: str, outputs: Sequence[Output], records: Iterable[Record], only: Callable[[bytes | None], bool]
) -> Iterator[str]:
    wanted: Said = {}
    found: Said = {}
    for key, value in ((output[1], output[2]) for output in outputs):
        if only(key) and not _add(wanted, key, value):
            yield f"the replay says two things to {topic} under {identity(value)!r}"
    for record in records:
        if only(record.key) and not _add(found, record.key, record.value or b""):
            yield f"{topic} has two contents under {identity(record.value or b'')!r}"
    for key in wanted.keys() | found.keys():
        yield from _key_differences(topic, key, wanted.get(key, {}), found.get(key, {}))


def _add(said: Said, key: bytes | None, value: bytes) -> bool:
    """Add a message, unless it is a repetition; False: one of this identity was another."""
    return said.setdefault(key, {}).setdefault(identity(value), value) == value


def _key_differences(
    topic: str, key: bytes | None, wanted: dict[str | bytes, bytes], found: dict[str | bytes, bytes]
) -> Iterator[str]:
    for each in wanted.keys() - found.keys():
        yield f"{topic} lacks {wanted[each]!r} of {key!r}"
    for each in found.keys() - wanted.keys():
        yield f"{topic} has {found[each]!r} of {key!r}, which no replay says"
    for each in wanted.keys() & found.keys():
        if wanted[each] != found[each]:
            yield f"{topic} has {found[each]!r} of {key!r}, replayed it is {wanted[each]!r}"
    one_partition = key is not None and key[:1] > b"\0"  # reserved keys are in all, and nobody orders these
    if one_partition and wanted.keys() == found.keys() and list(wanted) != list(found):
        yield f"{topic} has the messages of {key!r} in another order than the replay"
