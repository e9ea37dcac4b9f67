"""A whole fleet: the devices of a plan, playing at once."""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from .device import CannotConnect, Device
from .plan import CROWD
from .truth import Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from .dataset import WeatherRecord
    from .link import Endpoint
    from .plan import Script
    from .truth import Device as Identity

LEAD = 0.3
"""Seconds between the fleet's creation and the scripts' time zero."""


class Fleet:
    """``async with Fleet(...) as fleet: await fleet.play()``; on leaving the block every device says goodbye.

    After `play` the connections stay as the scripts left them, so that hub and ``truth`` can be compared at rest.
    """

    def __init__(
        self,
        scripts: Sequence[Script],
        endpoint: Endpoint,
        run: str,
        weather: Sequence[WeatherRecord],
        clock: Callable[[], float] = time.time,
        *,
        secrets: Mapping[Identity, str] = MappingProxyType({}),
    ) -> None:
        """``secrets``: passwords by device; whoever is not in it connects without."""
        self.truth = Truth(run, clock() + LEAD)
        self._tasks = asyncio.TaskGroup()
        self._devices = [
            Device(
                script,
                endpoint=endpoint,
                truth=self.truth,
                weather=weather,
                tasks=self._tasks,
                clock=clock,
                crowd=len(scripts) >= CROWD,
                secret=secrets.get((script.product_id, script.device_id)),
            )
            for script in scripts
        ]

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def play(self) -> None:
        """Play all scripts to their end and wait until nothing waits for an acknowledgement. Raises `CannotConnect`."""
        refused: CannotConnect | None = None
        try:
            async with asyncio.TaskGroup() as players:
                for device in self._devices:
                    players.create_task(device.play())
        except* CannotConnect as group:
            refused = next(error for error in group.exceptions if isinstance(error, CannotConnect))
        if refused is not None:
            raise refused
        for device in self._devices:
            await device.quiet()

    async def leave(self) -> None:
        await asyncio.gather(*(device.leave() for device in self._devices))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.leave()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if group.exceptions != (error,):
                raise  # something of the fleet's own broke; an error of the block's alone passes as it was
