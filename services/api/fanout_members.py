"""The commands of a fan-out, one of each member: of their owners while they are open, when over from ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.runtime.owners.reads import MAX_KEYS

from . import command_queries as queries
from . import fanouts
from .commands import LEDGER, Known
from .problems import busy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .command_documents import Command
    from .hub import Hub


async def now(
    hub: Hub, product_id: str, fanout_id: str, states: Collection[str], *, after: str, limit: int
) -> tuple[list[Command], str | None]:
    """Return commands that are in one of ``states`` as their owners have them, and the device at which the page ends.

    ``after``: the device at which the page before ended; empty: the first one. Raises `Problem`, `Unavailable`.
    """
    keys, last = await _members(hub, fanout_id, states, f"{product_id}/{after}" if after else "", limit)
    batch = await hub.reads.batch(*LEDGER, keys)
    if batch.unavailable:
        raise busy("unavailable", f"nobody answers for {batch.unavailable[0]} now")
    known = [msgspec.json.decode(batch.found[key], type=Known).find(fanout_id) for key in keys if key in batch.found]
    found = [command for command in known if command is not None and command.state in states]
    return found, None if last is None else last.partition("/")[2]


async def _members(
    hub: Hub, fanout_id: str, states: Collection[str], after: str, limit: int
) -> tuple[list[str], str | None]:
    """Return keys of members whose commands are in one of ``states``, and the last one where more may follow."""
    keys: list[str] = []
    for _ in range(fanouts.MOST_PAGES):
        found = await hub.reads.list(*fanouts.MEMBERS, f"request:{fanout_id}", after=after, limit=MAX_KEYS)
        for key, document in found:
            if fanouts.states(document).get(fanout_id) in states:
                if len(keys) == limit:
                    return keys, keys[-1]
                keys.append(key)
        if len(found) < MAX_KEYS:
            return keys, None
        after = found[-1][0]
    return keys, after


async def past(
    hub: Hub, product_id: str, fanout_id: str, states: Sequence[str], *, after: str, limit: int
) -> tuple[list[Command], str | None]:
    """Return a page as `now`, of what is stored; no ``states``: all of them. Raises as `Asked.ask`."""
    rows = await hub.history.ask(queries.members(product_id, fanout_id, states, after, limit + 1))
    items = [queries.command(row) for row in rows[:limit]]
    return items, items[-1].device_id if len(rows) > limit else None
