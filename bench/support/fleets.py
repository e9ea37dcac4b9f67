"""Registered and connected devices for benchmarks."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from bench.support.runs import CHECKOUT

if TYPE_CHECKING:
    from types import TracebackType

    from devstack import api_key

PATIENCE: Final = 90.0
RETRY: Final = 0.05
BULK: Final = 1_000


async def register(access: api_key.Access, product_id: str, devices: int, **fields: Any) -> None:
    """Make a product with the devices d0 to d(n-1), which have these ``fields``. Raises RuntimeError, TimeoutError."""
    headers = {"Authorization": f"Bearer {access.key}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=PATIENCE) as client:
        async with asyncio.timeout(PATIENCE):
            while await _create(client, product_id) == httpx.codes.UNAUTHORIZED:  # noqa: ASYNC110 - until the API knows the key
                await asyncio.sleep(RETRY)
        for first in range(0, devices, BULK):
            some = [{"device_id": f"d{number}", **fields} for number in range(first, min(devices, first + BULK))]
            answer = await client.post(f"/v1/products/{product_id}/devices:bulk", json={"devices": some})
            if answer.raise_for_status().json()["created"] != len(some):
                raise RuntimeError(f"devices were refused: {answer.text}")


async def _create(client: httpx.AsyncClient, product_id: str) -> int:
    answer = await client.post("/v1/products", json={"product_id": product_id})
    return answer.status_code


class Crowds:
    """`bench.support.crowd` as a process; its devices are online from the beginning of the block on."""

    def __init__(self, port: int, product_id: str, devices: int) -> None:
        self._arguments = (str(port), product_id, "0", str(devices))
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.got = 0
        """Commands that came to them."""
        self.last = 0.0
        """When the last one came, by the monotonic clock."""
        self.lost: list[str] = []
        """What was said of connections that ended."""

    async def __aenter__(self) -> Self:
        """Raises TimeoutError; RuntimeError when a device was not let in."""
        program = (sys.executable, "-m", "bench.support.crowd", *self._arguments)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*program, cwd=CHECKOUT, stdout=pipe)
        self._said = asyncio.create_task(self._listen(self._process))
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ready.wait()
        finally:
            if self.lost or not self._ready.is_set():
                await self._end()
        if self.lost:
            raise RuntimeError(f"devices could not stay: {self.lost[0]}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            word, *rest = line.decode().split()
            if word == "ready":
                self._ready.set()
            elif word == "got":
                self.got, self.last = int(rest[0]), float(rest[1])
            else:
                self.lost.append(line.decode())
                self._ready.set()

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._said is not None:
            await self._said
