"""Cells: reference data of which each piece has a changelog row of its own.

What a broadcast makes of cells is decided in one record, the shared row, like all that belongs to it: there they are in
full until the next broadcast. Their own rows follow in the same batch. So a changelog that ends anywhere between the
two has lost nothing: recovery takes the cells from the shared row, and the replay of that broadcast, whose slice cannot
have been committed, writes the rows that are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .letters import RowTooLarge
from .rows import Cell, Dead, Row, cell_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .lane import Lane
    from .part import Part
    from .work import Work


def decided(lane: Lane, part: Part, cells: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """Encode what a broadcast makes of cells; a deletion of what there is not is left out.

    Raises `RowTooLarge`, TypeError where the lane has no cells, and what the encoder raises.
    """
    if cells and not lane.has_cells:
        raise TypeError(f"lane {lane.table.name} declares no cells, but {sorted(cells)} are set")
    found = {}
    size = 0
    for name, state in cells.items():
        if state is None and name not in part.cells:
            continue
        encoded = lane.codec.encode(state)
        size += len(cell_key(name)) + len(encoded)
        found[name] = msgspec.Raw(encoded)
        lane.codec.cell_state(found[name])  # what no recovery could read is refused now
    if size > lane.max_cells:
        raise RowTooLarge(size, lane.max_cells)
    return found


def put(lane: Lane, work: Work, cells: Mapping[str, msgspec.Raw], offset: int) -> None:
    """Set the cells as the broadcast at ``offset`` decided, except those that have recorded it."""
    part = work.part
    part.load([cell_key(name) for name in cells])
    for name, encoded in cells.items():
        key = cell_key(name)
        stored: Any = part.rows.get(key)
        known: Row | None = lane.codec.thaw_cell(stored) if isinstance(stored, bytes) else stored
        if known is not None and known.offset >= offset:
            continue
        state = lane.codec.cell_state(encoded)
        if state is None:
            part.cells.pop(name, None)
            work.put_cell(key, Dead(offset=offset))
        else:
            part.cells[name] = state
            work.put_cell(key, Cell(offset=offset, state=state))
