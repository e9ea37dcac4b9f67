"""Presence between HTTP and its owners: now from the workers, then from ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.messages.presence import Session

from . import queries
from .devices import PRESENT, REGISTERED, read
from .documents import (
    DeviceName,
    DevicePresence,
    PresenceBatchAnswer,
    PresenceCounts,
    Transition,
)
from .problems import Problem
from .queries import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Millis

    from .access import Caller
    from .hub import Hub
    from .queries import About

NEVER: Final = Session("offline", None)


async def now(hub: Hub, product_id: str, device_id: str) -> DevicePresence:
    """Ask the owner. Raises `Problem` where there is no such device, `Unavailable`."""
    found = await hub.reads.get(*PRESENT, product_id, device_id)
    if found is not None:
        return msgspec.json.decode(found, type=DevicePresence)
    await read(hub, product_id, device_id)
    return DevicePresence(NEVER, product_id=product_id, device_id=device_id)


async def then(hub: Hub, product_id: str, device_id: str, at: Millis) -> DevicePresence:
    """Tell the session at a moment, as it is known now. A device that was deleted since has its past."""
    rows = await hub.history.ask(queries.presence_at(product_id, device_id, at))
    session = NEVER
    for state, since in rows:
        session = Session(state, since)
    return DevicePresence(session, product_id=product_id, device_id=device_id, at=at)


async def batch(hub: Hub, caller: Caller, devices: Sequence[DeviceName]) -> PresenceBatchAnswer:
    """Ask the owners of all; of a product that the caller may not know of there are no devices."""
    wanted = dict.fromkeys(devices)
    hidden = [name for name in wanted if not caller.knows(name.product_id)]
    keys = {f"{name.product_id}/{name.device_id}": name for name in wanted if caller.knows(name.product_id)}
    told = await hub.reads.batch(*PRESENT, list(keys))
    items = [msgspec.json.decode(document, type=DevicePresence) for document in told.found.values()]
    registered = await hub.reads.batch(*REGISTERED, told.missing)
    for key in registered.found:
        name = keys[key]
        items.append(DevicePresence(NEVER, product_id=name.product_id, device_id=name.device_id))
    return PresenceBatchAnswer(
        items,
        hidden + [keys[key] for key in registered.missing],
        [keys[key] for key in (*told.unavailable, *registered.unavailable)],
    )


async def counts(hub: Hub, product_id: str) -> PresenceCounts:
    """Count the devices of a product by state. Raises `Unavailable`."""
    tally = await hub.reads.tally(*PRESENT[:2])
    prefix = f"{product_id}/"
    return PresenceCounts(
        **{key.removeprefix(prefix): number for key, number in tally.items() if key.startswith(prefix)}
    )


async def transitions(
    hub: Hub, about: About, before: Place | None, limit: int
) -> tuple[list[Transition], Place | None]:
    """Return a page of a device's transitions, the newest first, and where it ended if more follow."""
    question = queries.transitions(about, before, limit + 1)
    rows = await hub.history.ask(question)
    return [_transition(row) for row in rows[:limit]], next_place(rows, limit, 9)


def next_place(rows: Sequence[Sequence[object]], limit: int, time: int) -> Place | None:
    """Return where a page of ``limit`` rows ended; None: it was the last. ``time``: the column that orders rows."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return int(str(last[time])), int(str(last[-2])), int(str(last[-1]))


def _transition(row: Sequence[object]) -> Transition:
    names = Transition.__struct_fields__
    fields = dict(zip(names, row, strict=False))
    optional = ("reason", "channel_id", "previous_channel_id")
    return msgspec.convert({**fields, **{name: fields[name] or None for name in optional}}, Transition)


def written(place: Place | None) -> str | None:
    """Write a place as what a cursor hides."""
    return None if place is None else ".".join(map(str, place))


def place_of(text: str) -> Place | None:
    """Read what `written` wrote; None for the first page. Raises `Problem`."""
    if not text:
        return None
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Problem("invalid_cursor", "the cursor was not made by this call")
    return int(parts[0]), int(parts[1]), int(parts[2])
