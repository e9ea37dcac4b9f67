"""The way between a device and its broker, which is cut when the test says so."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK = 65_536


class Wire:
    """Passes bytes on to ``upstream``, a port of this machine."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, HOST)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """End all connections without a word; the next ones come through."""
        for writer in self._open:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(OSError):  # of a broker that is away
                there, back = await asyncio.open_connection(HOST, self._upstream)
                self._open.add(back)
                try:
                    await asyncio.gather(self._passed(reader, back), self._passed(there, writer))
                finally:
                    self._open.discard(back)
                    back.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    @staticmethod
    async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # cut, or ended by either side
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
