"""Devices of the SDK's examples, each in a process of its own, and what is awaited of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from devstack.stack import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import httpx

    from fleet.link import Endpoint
    from fleet.truth import Device

SDK = CHECKOUT / "sdk" / "python"
PATIENCE = 20.0
"""Seconds that anything may take on a busy machine; what it took is told."""
PAUSE = 0.05


def command(example: str, endpoint: Endpoint, device: Device, secret: str, directory: Path) -> tuple[str, ...]:
    """Return how an example is started. ``directory``: for what it remembers."""
    where = ("--host", endpoint.host, "--port", str(endpoint.port), "--store", str(directory / "store"))
    who = ("--product", device[0], "--device", device[1], "--secret", secret)
    return (sys.executable, str(SDK / "examples" / f"{example}.py"), *where, *who)


@asynccontextmanager
async def switched_on(command: tuple[str, ...]) -> AsyncIterator[list[str]]:
    """Run the device; when it has ended, the list holds what it printed."""
    environ = {**os.environ, "PYTHONPATH": str(SDK)}
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed: list[str] = []
    try:
        yield printed
    finally:
        process.send_signal(signal.SIGINT)
        told, _ = await process.communicate()
        printed += told.decode().splitlines()


async def session(api: httpx.AsyncClient, state: str) -> bool:
    """Whether the device's session is so, as the hub says."""
    answer = (await api.get("/presence")).raise_for_status()
    return bool(answer.json()["session"]["state"] == state)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - the API is asked, and tells nobody
            await asyncio.sleep(PAUSE)
