"""Probes between HTTP and the commands service: made by the device's owner, and of the past from ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.messages.command_requests import ProbeDevice

from . import command_queries as queries
from .command_documents import Probe, Probed
from .commands import GRACE_S, ask
from .presence import next_place

if TYPE_CHECKING:
    from .asking import Asker
    from .command_documents import NewProbe
    from .hub import Hub
    from .queries import About, Place

ATTEMPT_S: Final = 10.0
"""Seconds of one attempt at most: five to come to the broker, and five for the device to answer."""
ATTEMPTS: Final = {"strict": 1, "normal": 2, "loose": 3}


def longest(new: NewProbe) -> float:
    """Return in how many seconds a probe comes to its verdict."""
    return ATTEMPTS[new.mode] * ATTEMPT_S + GRACE_S


async def probe(asker: Asker, product_id: str, device_id: str, new: NewProbe) -> Probed:
    """Find out whether a device answers. Raises as `ask`."""
    probe_id = asker.request_id("p", f"{product_id}/{device_id}")
    request = ProbeDevice(product_id, device_id, probe_id, new.mode, **asker.stamp())
    return msgspec.json.decode(await ask(asker, request, longest(new)), type=Probed)


async def page(hub: Hub, about: About, before: Place | None, limit: int) -> tuple[list[Probe], Place | None]:
    """Return a page of a device's probes, the newest first, and where it ended if more follow."""
    rows = await hub.history.ask(queries.probes(about, before, limit + 1))
    names = Probe.__struct_fields__
    items = [msgspec.convert(dict(zip(names, row, strict=False)), Probe) for row in rows[:limit]]
    return items, next_place(rows, limit, len(names) - 1)
