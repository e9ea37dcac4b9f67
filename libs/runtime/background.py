"""A task that a process runs besides its own work, such as following a topic."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Background(ABC):
    """Runs `_run` from `start` to `stop`; `check` tells of a failure. `_run` sets `_ready` and heeds `_stopping`."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it is ready; raise what ended it before."""
        self._task = asyncio.create_task(self._run())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        self.check()

    async def stop(self) -> None:
        """Raises what ended it, if something did."""
        self._stopping = True
        if self._task is not None:
            await self._task

    def check(self) -> None:
        """Raise what ended it, if something did before `stop`; whatever it knows would grow old unnoticed."""
        if self._task is not None and self._task.done() and not self._stopping:
            self._task.result()

    @abstractmethod
    async def _run(self) -> None: ...
