"""Calls of an application's functions, which may be async or not."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log: Final = logging.getLogger("fleetlog_device")

Handler: TypeAlias = "Callable[..., Awaitable[Any] | Any]"

CAPACITY: Final = 1_000
"""Calls that may wait; beyond that, the connection is not read from."""


async def call(handler: Handler, *args: Any) -> Any:
    """What the function returns. Raises what it raises."""
    result = handler(*args)
    return await result if inspect.isawaitable(result) else result


def log_failure(what: str, error: Exception) -> None:
    """An application's own error is its own: it is logged, and the device goes on."""
    log.error("%s failed", what, exc_info=error)


class Calls:
    """Functions that are called one after the other, in order of what happened."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[str, Handler, tuple[Any, ...]]] = asyncio.Queue(CAPACITY)

    async def put(self, what: str, handler: Handler | None, *args: Any) -> None:
        """``what`` names the call in the log. None: nobody wants to know."""
        if handler is not None:
            await self._waiting.put((what, handler, args))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            what, handler, args = await self._waiting.get()
            try:
                await call(handler, *args)
            except Exception as error:  # noqa: BLE001 - an application may raise anything
                log_failure(what, error)
            finally:
                self._waiting.task_done()

    async def drained(self) -> None:
        """Return when all calls have been made."""
        await self._waiting.join()
