"""Devices that were registered a moment ago: the registry knows of them before other services have heard of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from . import devices
from .problems import Problem, busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .hub import Hub

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between two attempts, while a service has not heard of a device that is registered."""


async def attempts(hub: Hub, product_id: str, device_id: str) -> AsyncIterator[None]:
    """Yield for each attempt to ask a service about a device; before the second one the registry is asked.

    Raises `Problem` where it knows of none, `Unavailable`.
    """
    yield
    await devices.read(hub, product_id, device_id)
    for pause in PAUSES:
        await asyncio.sleep(pause)
        yield


def unheard_of(service: str, product_id: str, device_id: str) -> Problem:
    """Make the problem of a device that a service still had not heard of at the last attempt."""
    said = f"{product_id}/{device_id} is registered, but the {service} service has not heard of it"
    return busy("unavailable", said)
