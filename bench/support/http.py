"""HTTP as a load generator speaks it: a few bare connections, each with one request under way."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

HEAD_END: Final = b"\r\n\r\n"
KEPT: Final = 2.0
"""Seconds after which an idle connection is not used any more: servers close them after a while, at any moment."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """Made by `Connections`."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Answer] | None = None
        self._received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is one without saying so

    async def ask(self, request: bytes) -> Answer:
        """Send a whole request. Raises ConnectionError."""
        assert self.transport is not None
        self._answer, self._received = asyncio.get_running_loop().create_future(), b""
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or self._answer is None:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or b"0") and not self._answer.done():
            self._answer.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))


class Connections:
    """To one server; as many as there are requests under way."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[float, Connection]] = []
        self._clock = asyncio.get_running_loop().time

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionError."""
        connection = self._open()
        if connection is None:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        answer = await connection.ask(request)
        self._idle.append((self._clock(), connection))
        return answer

    def _open(self) -> Connection | None:
        """Return the one used last, if that was not long ago."""
        if not self._idle or self._clock() - self._idle[-1][0] > KEPT:
            self.close()
            return None
        return self._idle.pop()[1]

    def close(self) -> None:
        """Close those that no request is under way on."""
        for _, connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()
        self._idle.clear()
