"""The lab's lane with cells and summaries: every output tells all that its step could know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from libs.runtime.lane.model import At, Folded, Output, Shared, Sweep, send
from tests.unit.runtime.lane import lab, test_replay
from tests.unit.runtime.lane.lab import OUT, Event, Thing, World

if TYPE_CHECKING:
    from collections.abc import Sequence


class Note(msgspec.Struct, frozen=True, array_like=True):
    """A cell that knows how often it was set, so that setting it twice shows."""

    text: str
    writes: int = 1


Notes: TypeAlias = Shared[World, Note]


def known(shared: Notes) -> bytes:
    return b" " + msgspec.json.encode(sorted(shared.cells.items()))


def step(row: Thing | None, event: Event, at: At, shared: Notes) -> tuple[Thing | None, Sequence[Output]]:
    if event.kind == "ask_if_noted":  # an effect that hangs on a cell alone
        return row, (send(OUT, at.key, at.id().encode() + known(shared)),) if "a" in shared.cells else ()
    new, outputs = lab.step(row, event, at, shared.state)
    return new, [send(topic, key, (value or b"") + known(shared)) for topic, key, value, _ in outputs]


def fold(shared: Notes, event: Event, at: At) -> Folded[World, Note]:
    state, targets = lab.fold_world(shared.state, event, at)
    cells: dict[str, Note | None] = {}
    for name, text in event.cells.items():
        old = shared.cells.get(name)
        cells[name] = None if text is None else Note(text, 1 if old is None else old.writes + 1)
    return Folded(state, targets, cells)


def swept(shared: Notes, event: Event, at: At, sweep: Sweep) -> Sequence[Output]:
    if event.kind == "tagged" and event.tag == "blue":
        raise ValueError("blue")
    left = sorted([-1 if row is None else row.count for row in sweep.visited])
    head = b"%s matched %d of %d, left %s" % (
        at.id().encode(),
        sweep.matched,
        shared.state.broadcasts,
        msgspec.json.encode(left),
    )
    return (send(OUT, at.key, head + known(shared)),)


CELLED: dict[str, Any] = {"cell": Note, "max_cells": 100, "step": step, "fold_shared": fold, "swept": swept}

CELLS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, "", "x", "x" * 60]), max_size=3)


def celled_inboxes() -> st.SearchStrategy[list[lab.Record]]:
    keyed: test_replay.Fields = st.one_of(test_replay.KEYED, st.builds(dict, kind=st.just("ask_if_noted")))
    broadcasts: test_replay.Fields = st.builds(
        lambda fields, cells: {**fields, "cells": cells}, test_replay.BROADCAST, CELLS
    )
    return test_replay.inboxes(keyed, broadcasts)
