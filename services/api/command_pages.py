"""Commands of a device, and of a fan-out, page by page: as their owners have them, and from ClickHouse.

What has just come to its end is in no list of open commands any more, and not stored yet. So a page of the past is made
of both: what the owner remembers is told as the owner has it, all else as it is stored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.owners.reads import Unavailable
from libs.topics.identity import is_name

from . import command_queries as queries
from .commands import LEDGER, Known
from .fanouts import product_of
from .moments import END
from .problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .access import Caller
    from .command_documents import Command
    from .hub import Hub
    from .queries import About

MOST_MEMBERS: Final = 100
"""Of a fan-out that are looked at for one page: their owners tell all that they remember of each."""


async def past(
    hub: Hub, about: About, states: Sequence[str], before: queries.Cursor | None, limit: int
) -> tuple[list[Command], queries.Cursor | None]:
    """Return a page of a device's past commands, the newest first, and where it ended if more follow.

    An owner that does not answer takes what is not stored yet, and no more. Raises as `Asked.ask`.
    """
    rows, remembered = await asyncio.gather(
        hub.history.ask(queries.commands(about, states, before, limit + 1)), _remembered(hub, about)
    )
    fitting = [
        one
        for one in remembered
        if about.since <= one.accepted_at < about.to
        and (not states or one.state in states)
        and (before is None or _place(one) < before)
    ]
    found = sorted(merged(map(queries.command, rows), fitting), key=_place, reverse=True)
    return found[:limit], _place(found[limit - 1]) if len(found) > limit else None


async def _remembered(hub: Hub, about: About) -> list[Command]:
    try:
        told = await hub.reads.get(*LEDGER, about.product_id, about.device_id)
    except Unavailable:
        return []
    if told is None:
        return []
    known = msgspec.json.decode(told, type=Known)
    return [*known.open, *known.ended]


def _place(command: Command) -> queries.Cursor:
    return command.accepted_at, command.request_id


def merged(stored: Iterable[Command], remembered: Iterable[Command]) -> list[Command]:
    """Bring together what is stored and what owners remember, which is newer, but may lack a large reply. Pure."""
    found = {(one.device_id, one.request_id): one for one in stored}
    for one in remembered:
        known = found.get((one.device_id, one.request_id))
        if known is None or known.reply is None or one.reply is not None:
            found[one.device_id, one.request_id] = one
    return list(found.values())


def written(cursor: queries.Cursor | None) -> str | None:
    """Write where a page ended as what a cursor hides."""
    return None if cursor is None else f"{cursor[0]}.{cursor[1]}"


def read(text: str) -> queries.Cursor | None:
    """Read what `written` wrote; None for the first page. Raises `Problem`."""
    if not text:
        return None
    at, _, request_id = text.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 14 and int(at) < END and is_name(request_id)):
        raise Problem("invalid_cursor", "the cursor was not made by this call")
    return int(at), request_id


async def members(
    hub: Hub, caller: Caller, fanout_id: str, *, states: Sequence[str], after: str, limit: int
) -> tuple[list[Command], str | None]:
    """Return commands of a fan-out's members in order of their devices, and the last device if more follow.

    ``states``: only these; none: all. So a page may be short, or empty, and others follow. Raises `Problem`
    (``unknown_fanout``, ``invalid_cursor``, and as `Asked.ask`), `Unavailable`.
    """
    if after and not is_name(after):
        raise Problem("invalid_cursor", "the cursor was not made by this call")
    product_id = await product_of(hub, caller, fanout_id)
    most = min(limit, MOST_MEMBERS)
    owned = f"{product_id}/"
    rows, listed = await asyncio.gather(
        hub.history.ask(queries.fanout_commands(product_id, fanout_id, after, most + 1)),
        hub.reads.list(
            *LEDGER, f"request:{fanout_id}", prefix=owned, after=owned + after if after else "", limit=most + 1
        ),
    )
    told = [msgspec.json.decode(document, type=Known).find(fanout_id) for _, document in listed]
    remembered = [one for one in told if one is not None and one.fanout_id is not None]
    found = sorted(merged(map(queries.command, rows), remembered), key=lambda one: one.device_id)
    items = [one for one in found[:most] if not states or one.state in states]
    return items, found[most - 1].device_id if len(found) > most else None
