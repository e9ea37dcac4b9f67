"""Devices of the SDK that do what they are told, and note it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import fleetlog_device.device
from devstack.ports import HOST
from fleetlog_device import Backoff, Device, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetlog_device import Call

BACKOFF = Backoff(first=0.1, longest=1.0)
DAY = 24 * 3600 * 1000


class Worker:
    """``ran``: request ids, in the order in which its handler began with them; it answers with what it was sent.

    ``off``: ms that its own clock is ahead: it then asks for the hub's time only when it is told to. ``held``: numbers
    of commands that take until ``free`` is set.
    """

    def __init__(
        self, port: int, product: str, device: str, *, off: int = 0, held: frozenset[int] = frozenset()
    ) -> None:
        self.port, self.product, self.device, self._off, self._held = port, product, device, off, held
        self.ran: list[str] = []
        self.lives = 0
        """How often it came online."""
        self.heard: list[tuple[str, bytes]] = []
        """Messages for it alone: topic and payload."""
        self.free, self.began = asyncio.Event(), asyncio.Event()
        """``began`` is set with each command."""
        self._store = MemoryStore()

    @asynccontextmanager
    async def online(self) -> AsyncIterator[Device]:
        with mock.patch.object(fleetlog_device.device, "_wall", self._clock):
            device = Device(
                self.product,
                self.device,
                "open",
                host=HOST,
                port=self.port,
                store=self._store,
                synchronise=not self._off,
                backoff=BACKOFF,
            )
        async with device:
            device.command()(self._obey)
            device.on_connected(self._count)
            device.on_p2p(self._hear)
            await device.wait_connected(60)
            yield device

    async def _obey(self, call: Call) -> Any:
        self.ran.append(call.request_id)
        self.began.set()
        told = call.json()
        if told["n"] in self._held:
            await self.free.wait()
        return told

    def _count(self) -> None:
        self.lives += 1

    def _hear(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))

    def _clock(self) -> int:
        return time.time_ns() // 1_000_000 + self._off
