"""What devices have sent, between HTTP and ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from . import queries
from .documents import DeviceEvent, Point, Series
from .presence import next_place
from .problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hub import Hub
    from .queries import About, Place


async def series(hub: Hub, about: About, key: str, step: int | None) -> Series:
    """Raises `Problem` ``too_much`` for more than `queries.POINTS`."""
    limit = queries.POINTS + 1
    if step is None:
        points = [Point(at, value) for at, value in await hub.history.ask(queries.points(about, key, limit))]
    else:
        rows = await hub.history.ask(queries.steps(about, key, limit, step))
        points = [Point(at, None, mean, least, most, count) for at, mean, least, most, count in rows]
    if len(points) > queries.POINTS:
        raise Problem("too_much", f"there are more than {queries.POINTS} points")
    return Series(about.product_id, about.device_id, key, step, points)


async def events(
    hub: Hub, about: About, data_type: str | None, before: Place | None, limit: int
) -> tuple[list[DeviceEvent], Place | None]:
    """Return a page of what a device has sent, the newest first, and where it ended if more follow."""
    rows = await hub.history.ask(queries.events(about, data_type, before, limit + 1))
    return [_event(row) for row in rows[:limit]], next_place(rows, limit, 6)


def _event(row: Sequence[Any]) -> DeviceEvent:
    kind, data_type, to_device_id, message_id, encoding, payload, received_at, device_at, *_ = row
    return DeviceEvent(
        type=kind,
        data_type=data_type,
        to_device_id=to_device_id or None,
        message_id=message_id,
        encoding=encoding,
        payload=msgspec.Raw(payload.encode()) if encoding == "json" else payload,
        received_at=received_at,
        device_at=device_at,
    )
