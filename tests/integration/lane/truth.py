"""What must come of an inbox, from its records alone: the ledger's step, one record after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.runtime.lane.model import At, Due, Everything, Shared, Sweep, Targets, Terms
from libs.runtime.lane.rows import CELL, PREFIX, SHARED_KEY, Cell, Codec, cell_name, is_dead
from libs.topics.codec import UnknownKind
from libs.topics.identity import BROADCAST_KEY
from libs.topics.names import changelog
from tests.integration.lane.ledger import (
    TABLE,
    Account,
    Event,
    Ledger,
    Rate,
    Reference,
    World,
    deadline,
    decode,
    inbox,
    outputs,
    terms,
)
from tests.support.records import Record, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.runtime.lane.model import Output


class Truth:
    """Rows by key, the outputs by what they say, and the reference data of each partition."""

    def __init__(self, service: str, records: Iterable[Record]) -> None:
        self.rows: dict[bytes, Account] = {}
        self.outputs: set[tuple[bytes, bytes]] = set()
        self.worlds: dict[int, World] = {}
        self.cells: dict[int, dict[str, Rate]] = {}
        self.refused = 0
        self._ledger = Ledger(service)
        self._where: dict[bytes, int] = {}
        for record in sorted(records, key=lambda record: (record.partition, record.offset)):
            self._take(record)

    def _take(self, record: Record) -> None:
        try:
            event = decode(record.value)
        except UnknownKind:
            return
        except ValueError:
            self.refused += 1
            return
        if record.key == BROADCAST_KEY:
            self._broadcast(record, event)
        elif not record.key or record.key.startswith(b"\0"):
            self.refused += 1
        else:
            self._where[record.key] = record.partition
            self._step(record.key, event, self._at(record, record.key))

    def _reference(self, partition: int) -> Reference:
        return Shared(self.worlds.get(partition, World()), self.cells.get(partition, {}))

    def _broadcast(self, record: Record, event: Event) -> None:
        at, number = self._at(record, BROADCAST_KEY), record.partition
        folded = self._ledger.fold(self._reference(number), event, at)
        self.worlds[number] = folded.state
        cells: dict[str, Any] = {**self.cells.get(number, {}), **folded.cells}
        self.cells[number] = {name: state for name, state in cells.items() if state is not None}
        if folded.targets is None:
            return
        named = self._named(folded.targets, number)
        for key in named:
            self._step(key, event, self._at(record, key, swept=True))
        sweep = Sweep(len(named), iter([self.rows.get(key) for key in named]))
        self._said(self._ledger.swept(self._reference(number), event, at, sweep))

    def _said(self, outputs: Iterable[Output]) -> None:
        self.outputs |= {(key or b"", value or b"") for topic, key, value, _ in outputs if topic == self._ledger.topic}

    def _named(self, targets: Targets | None, partition: int) -> list[bytes]:
        rows = [(key, row) for key, row in self.rows.items() if self._where[key] == partition]
        match targets:
            case Everything():
                return [key for key, _ in rows]
            case Terms(wanted):
                return [key for key, row in rows if set(terms(row)) & set(wanted)]
            case Due(now):
                return [key for key, row in rows if (deadline(row) or now + 1) <= now]
        return []

    def _step(self, key: bytes, event: Event, at: At) -> None:
        try:
            row, said = self._ledger.step(self.rows.get(key), event, at, self._reference(at.partition))
        except ValueError:
            self.refused += 1
            return
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        self._said(said)

    @staticmethod
    def _at(record: Record, key: bytes, *, swept: bool = False) -> At:
        return At(record.topic, record.partition, record.offset, record.timestamp, key, swept)


class Found:
    """What the lane left behind: the changelog's rows, tombstones and shared states, and the outputs."""

    def __init__(self, bootstrap: str, service: str) -> None:
        codec = Codec(Account, World, Rate)
        latest: dict[tuple[int, bytes], bytes] = {}
        for record in read_all(bootstrap, changelog(service, TABLE)):
            assert record.key is not None
            if record.value is None:
                latest.pop((record.partition, record.key), None)
            elif record.value[:PREFIX] >= latest.get((record.partition, record.key), b"")[:PREFIX]:
                latest[record.partition, record.key] = record.value
        worlds = {number: latest.pop((number, key)) for number, key in list(latest) if key == SHARED_KEY}
        shared = {number: codec.thaw_shared(frame) for number, frame in worlds.items()}
        self.worlds = {number: one.state for number, one in shared.items() if one.offset >= 0}
        cells = {where: latest.pop(where) for where in list(latest) if cell_name(where[1])}
        self.cells: dict[int, dict[str, Any]] = {number: {} for number in self.worlds}
        for (number, key), frame in cells.items():
            row = codec.thaw_cell(frame)
            if isinstance(row, Cell):
                self.cells[number][key.removeprefix(CELL).decode()] = row.state
        self.tombstones = sum(is_dead(frame) for frame in latest.values())
        self.rows: dict[bytes, Any] = {
            key: msgspec.structs.replace(codec.thaw(frame), revision=0, offset=-1)
            for (_, key), frame in latest.items()
            if not is_dead(frame)
        }
        self.sent = [(record.key or b"", record.value or b"") for record in read_all(bootstrap, outputs(service))]


def assert_exact(bootstrap: str, service: str) -> tuple[Truth, Found]:
    """The lane's rows and outputs are those of its inbox, byte for byte; outputs may repeat."""
    truth = Truth(service, read_all(bootstrap, inbox(service)))
    found = Found(bootstrap, service)
    differing = {key for key in truth.rows.keys() | found.rows.keys() if truth.rows.get(key) != found.rows.get(key)}
    assert not differing, f"{len(differing)} rows differ, one is {_both(truth, found, min(differing))}"
    assert found.worlds == truth.worlds
    assert found.cells == truth.cells
    missing, foreign = truth.outputs - set(found.sent), set(found.sent) - truth.outputs
    assert not missing, f"{len(missing)} of {len(truth.outputs)} outputs missing, one is {min(missing)!r}"
    assert not foreign, f"{len(foreign)} outputs that the inbox does not explain, one is {min(foreign)!r}"
    return truth, found


def _both(truth: Truth, found: Found, key: bytes) -> str:
    return f"{key!r}: {truth.rows.get(key)} in truth, {found.rows.get(key)} found"
