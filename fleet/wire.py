"""One MQTT 5 connection of a large fleet: what `link.Link` does, at a tenth of the cost.

aiomqtt stands on paho, which takes three file descriptors and a thread's help for every connection: a process ends at
a few thousand. This one is a socket and a few hundred bytes of state on the codec ``mqtt5``.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

import aiomqtt
import mqtt5

from .link import LINGER_NONE, PATIENCE

if TYPE_CHECKING:
    from .link import Endpoint
    from .truth import Device

KEEPALIVE = 60
"""Seconds; PINGREQ goes after half of it."""
FAILURE = 0x80
"""The least reason code that is one (MQTT 5, 2.4)."""
PINGREQ = b"\xc0\x00"
HEADER = 2
"""Bytes before the inside of the packets that a device receives: all are shorter than 128 bytes."""


class WireError(aiomqtt.MqttError):
    """The connection could not be made, or ended."""


class Refused(WireError):
    """The broker does not let the device in, or does not take what it sends."""


class WireLink(asyncio.Protocol):
    """A connection that is used once. Calls and errors are those of `link.Link`."""

    transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint, device: Device, secret: str | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._endpoint, self._name, self._loop = endpoint, "/".join(device), loop
        self._secret = None if secret is None else secret.encode()
        self._unread = b""
        self._packet_id = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._ping: asyncio.TimerHandle | None = None
        self._accepted: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()

    # -- what a device calls
    async def open(self) -> None:
        """Connect. Raises `Refused` for one; all of its errors are `aiomqtt.MqttError`."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._loop.create_connection(lambda: self, self._endpoint.host, self._endpoint.port)
                await self._accepted
        except OSError as error:  # TimeoutError is one
            raise WireError(f"{type(error).__name__}: {error}") from error

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Return once it is acknowledged. Raises `aiomqtt.MqttError`: `Refused`, or the connection ends before."""
        if self._over.done():
            raise WireError("the connection is gone")
        self._packet_id = self._packet_id % 65_535 + 1
        packet = mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS(qos), packet_id=self._packet_id)
        acknowledged = self._waiting[self._packet_id] = self._loop.create_future()
        self.transport.write(packet.write())
        await acknowledged

    async def over(self) -> None:
        """Return once the connection is gone, whoever ended it."""
        await asyncio.wait([self._over])

    async def goodbye(self) -> None:
        """DISCONNECT and close."""
        self.transport.write(mqtt5.DisconnectPacket().write())
        self.transport.close()
        await self.over()

    async def written(self) -> None:
        """Return once everything has been handed to the operating system, or cannot be any more."""
        # asyncio tells of a full buffer only; it takes two or three rounds of the loop
        while self.transport.get_write_buffer_size() and not self._over.done():  # noqa: ASYNC110
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Close the socket without DISCONNECT. What was not sent or not acknowledged stays so."""
        if hasattr(self, "transport") and not self.transport.is_closing():
            wire = self.transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self.transport.abort()

    # -- what the transport calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        connect = mqtt5.ConnectPacket(
            self._name, username=self._name, password=self._secret, clean_start=True, keep_alive=KEEPALIVE
        )
        self.transport.write(connect.write())
        self._ping = self._loop.call_later(KEEPALIVE / 2, self._alive)

    def data_received(self, data: bytes) -> None:
        unread = self._unread + data
        while len(unread) >= HEADER and len(unread) >= HEADER + unread[1]:
            packet, size = mqtt5.read(memoryview(unread))
            unread = unread[size:]
            self._take(packet)
        self._unread = unread

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ping is not None:
            self._ping.cancel()
        error = WireError(f"connection lost: {exc or 'closed by the broker'}")
        for waiting in (self._accepted, *self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # looked at: nobody may be waiting for it
        self._over.set_result(None)

    def _take(self, packet: Any) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            acknowledged = self._waiting.pop(packet.packet_id, None)
            if acknowledged is None or acknowledged.done():
                return
            if int(packet.reason_code) < FAILURE:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(Refused(f"refused: {packet.reason_code.name}"))
        elif isinstance(packet, mqtt5.ConnAckPacket):
            if int(packet.reason_code) == 0:
                self._accepted.set_result(None)
            else:
                self._accepted.set_exception(Refused(f"refused: {packet.reason_code.name}"))
                self.transport.close()

    def _alive(self) -> None:
        self.transport.write(PINGREQ)
        self._ping = self._loop.call_later(KEEPALIVE / 2, self._alive)
