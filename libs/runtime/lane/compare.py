"""What a lane left behind, held against the replay of its inbox: rows and logs byte for byte.

A crash makes a lane say again what it had said, with the same bytes, and never out of order for a key. So a log equals
its replay when, of each key, the messages without repetitions are the same in the same order, a repetition goes on from
where it began, and the last message is the same, which is what a compacted topic keeps. Rows equal it when they encode
to the same bytes, the recorded offset included; only revisions depend on what the workers went through.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

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
    wanted: defaultdict[bytes | None, _Said] = defaultdict(_Said)
    found: defaultdict[bytes | None, _Said] = defaultdict(_Said)
    for key, value in ((output[1], output[2] or b"") for output in outputs):
        if only(key) and not wanted[key].add(value):
            yield f"the replay says two things to {topic} under {identity(value)!r}"
    for record in records:
        if only(record.key) and not found[record.key].add(record.value or b""):
            yield f"{topic} has two contents under {identity(record.value or b'')!r}"
    for key in wanted.keys() | found.keys():
        yield from _key_differences(topic, key, wanted[key], found[key])


class _Said:
    """What was said under one key."""

    def __init__(self) -> None:
        self.messages: dict[str | bytes, bytes] = {}  # by identity, without repetitions
        self.order: list[str | bytes] = []  # with them

    def add(self, value: bytes) -> bool:
        """Add a message; False: one of this identity was another."""
        name = identity(value)
        self.order.append(name)
        return self.messages.setdefault(name, value) == value

    def goes_back_and_on(self) -> bool:
        """Tell that whatever was repeated went on from there, one message after the other.

        Only where all have ids: other messages may be alike without being the same.
        """
        place = {name: number for number, name in enumerate(self.messages)}
        steps = pairwise(place[name] for name in self.order)
        return not all(isinstance(name, str) for name in place) or all(new <= old + 1 for old, new in steps)


def _key_differences(topic: str, key: bytes | None, wanted: _Said, found: _Said) -> Iterator[str]:
    said, there = wanted.messages, found.messages
    for each in said.keys() - there.keys():
        yield f"{topic} lacks {said[each]!r} of {key!r}"
    for each in there.keys() - said.keys():
        yield f"{topic} has {there[each]!r} of {key!r}, which no replay says"
    for each in said.keys() & there.keys():
        if said[each] != there[each]:
            yield f"{topic} has {there[each]!r} of {key!r}, replayed it is {said[each]!r}"
    one_partition = key is not None and key[:1] > b"\0"  # reserved keys are in all, and nobody orders these
    if not one_partition or said.keys() != there.keys():
        return
    if list(said) != list(there) or not found.goes_back_and_on():
        yield f"{topic} has the messages of {key!r} in another order than the replay"
    elif wanted.order[-1] != found.order[-1]:
        yield f"{topic} ends with {there[found.order[-1]]!r} of {key!r}, the replay with {said[wanted.order[-1]]!r}"
