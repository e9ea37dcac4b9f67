"""Devices that were registered a moment ago: the registry knows of them before other services have heard of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from . import devices
from .problems import Problem, busy

if TYPE_CHECKING:
    from .hub import Hub

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between two attempts, while a service has not heard of a device that is registered."""


class Attempts:
    """Attempts to ask a service about a device; before the second one the registry is asked.

    Iterating raises `Problem` where the registry knows of none, `Unavailable`. No generator: one that is left when the
    first attempt succeeds costs a task to be closed, with every request.
    """

    def __init__(self, hub: Hub, product_id: str, device_id: str) -> None:
        self._hub, self._ids, self._made = hub, (product_id, device_id), 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        made, self._made = self._made, self._made + 1
        if made == 1:
            await devices.read(self._hub, *self._ids)
        if made > len(PAUSES):
            raise StopAsyncIteration
        if made:
            await asyncio.sleep(PAUSES[made - 1])


def unheard_of(service: str, product_id: str, device_id: str) -> Problem:
    """Make the problem of a device that a service still had not heard of at the last attempt."""
    said = f"{product_id}/{device_id} is registered, but the {service} service has not heard of it"
    return busy("unavailable", said)
