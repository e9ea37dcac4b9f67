"""Applications that call devices: a schedule, a crowd of waiters, and what became of each call."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from bench.support.http import Connections
from devstack.ports import HOST

if TYPE_CHECKING:
    from devstack import api_key

OK: Final = 200


class _Reply(msgspec.Struct):
    payload: msgspec.Raw


class _Called(msgspec.Struct):
    device_id: str
    state: str
    reply: _Reply


_called: Final = msgspec.json.Decoder(_Called).decode


class Calls:
    """``POST …/rpc`` to the devices d0 to d(n-1) in turn."""

    def __init__(self, access: api_key.Access, product_id: str, devices: int) -> None:
        url = urlsplit(access.url)
        self._connections = Connections(url.hostname or HOST, url.port or 80)
        self._head = (
            f"POST /v1/products/{product_id}/devices/{{device}}/rpc HTTP/1.1\r\n"
            f"Host: {url.netloc}\r\nAuthorization: Bearer {access.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
        self._devices, self._next = devices, 0
        self.delays: list[float] = []
        """Seconds from the moment at which a call was due to its reply."""
        self.others: Counter[str] = Counter()
        """What else was answered."""

    async def by_schedule(self, count: int, rate: float) -> None:
        """Call ``rate`` times a second, whoever is held up, and wait for all replies."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                due = begun + n / rate
                if (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(self._call(due, b'{"name":"switch","payload":{"relay":2,"on":true}}'))

    async def at_once(self, count: int, held: float) -> None:
        """Let so many callers wait at the same time, since devices reply only after ``held`` seconds."""
        body = msgspec.json.encode({"name": "hold", "payload": held, "timeout_s": 30})
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._call(begun, body))

    async def _call(self, due: float, body: bytes) -> None:
        device = f"d{self._next % self._devices}"
        self._next += 1
        answer = await self._connections.ask(self._head.format(device=device, length=len(body)).encode() + body)
        if answer.status != OK:
            self.others[f"{answer.status} {answer.body[:200].decode()}"] += 1
            return
        called = _called(answer.body)
        if called.state != "replied" or called.device_id != device:
            self.others[f"{called.state} by {called.device_id} for {device}"] += 1
            return
        self.delays.append(time.perf_counter() - due)

    def forget(self) -> None:
        self.delays.clear()
        self.others.clear()

    def close(self) -> None:
        self._connections.close()
