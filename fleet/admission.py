"""A fleet is let in: registered at the hub, and known to the broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiomqtt

from .registration import NotRegistered, Registry
from .wire import WireLink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .link import Endpoint
    from .registration import ApiAccess
    from .truth import Device

PORTER = "fleet-porter"
"""Product of devices that only knock, so that no device of the fleet is seen before its script begins."""
PATIENCE = 30.0
"""Seconds until the broker has to know a device that the hub has registered."""
PAUSE = 0.05


async def admit(access: ApiAccess, endpoint: Endpoint, devices: Iterable[Device], run: str) -> dict[Device, str]:
    """Register devices; returns their secrets when the broker lets in the one that was registered last.

    ``run``: a name that no fleet had before. Raises `NotRegistered`.
    """
    async with Registry(access) as registry:
        secrets = await registry.enlist(devices)
        porter = (PORTER, run)
        own = await registry.enlist([porter])
        await knock(endpoint, porter, own[porter])
        await registry.delete(porter)
    return secrets


async def knock(endpoint: Endpoint, device: Device, secret: str) -> None:
    """Connect until the broker lets the device in, and go. Raises `NotRegistered`."""
    try:
        async with asyncio.timeout(PATIENCE):
            # the broker is all that knows, and it tells nobody
            while not await gets_in(endpoint, device, secret):  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        name = "/".join(device)
        raise NotRegistered(f"{name} is registered, but {endpoint} refuses it: is its guard running?") from None


async def gets_in(endpoint: Endpoint, device: Device, secret: str) -> bool:
    """Try once whether the broker takes these credentials."""
    link = WireLink(endpoint, device, secret)
    try:
        await link.open()
    except aiomqtt.MqttError:
        link.cut()
        return False
    await link.goodbye()
    return True
