"""One MQTT connection of a simulated device: aiomqtt, and the rude endings that it has no call for."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import TYPE_CHECKING, Literal

import aiomqtt
import msgspec

from . import replies

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

    from .truth import Device

PATIENCE = 30.0
"""Seconds that a device waits for CONNACK or PUBACK: longer than any pause of a broker on a busy machine."""
WINDOW = 1000
"""Publishes under way per connection, so that a slow broker delays acknowledgements and not the script."""
SILENT = logging.getLogger(__name__)
SILENT.disabled = True
"""What the libraries would log about ends of connections, the truth holds."""
LINGER_NONE = struct.pack("ii", 1, 0)


class Endpoint(msgspec.Struct, frozen=True):
    """Where devices connect."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """``HOST:PORT``. Raises `ValueError`."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit():
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host or "127.0.0.1", int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Link(aiomqtt.Client):
    """A connection that is used once, and answers commands and probes.

    ``secret``: the password; None: the broker asks for none.
    """

    def __init__(self, endpoint: Endpoint, device: Device, protocol: Literal[4, 5], secret: str | None = None) -> None:
        name = "/".join(device)
        super().__init__(
            endpoint.host,
            endpoint.port,
            identifier=name,
            username=name,
            password=secret,
            protocol=aiomqtt.ProtocolVersion(protocol),
            timeout=PATIENCE,
            logger=SILENT,
            max_inflight_messages=WINDOW,
        )
        self.pending_calls_threshold = WINDOW
        self._device = device

    async def open(self) -> None:
        """Connect. Raises `aiomqtt.MqttError`."""
        over = self._disconnected
        await self.__aenter__()
        self._disconnected = over  # aiomqtt takes a new one where this is done: of a broker that ended at that moment
        # paho's own calls: nothing in a script waits for a subscription or a reply
        self._client.on_message = self._reply
        self._client.subscribe(replies.filters(self._device))

    async def over(self) -> None:
        """Return once the connection is gone, whoever ended it."""
        await asyncio.wait([self._disconnected])
        self._disconnected.exception()  # looked at, so that asyncio does not report it as never retrieved

    async def goodbye(self) -> None:
        """DISCONNECT and close."""
        await self.__aexit__(None, None, None)

    async def written(self) -> None:
        """Return once everything has been handed to the operating system, or cannot be any more."""
        # paho has no event for it; it takes two or three rounds of the loop
        while self._client.want_write() and not self._disconnected.done():  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _reply(self, client: Client, _data: object, message: MQTTMessage) -> None:
        answer = replies.reply(message.topic, message.payload)
        if answer is not None:
            client.publish(*answer, qos=1)

    def cut(self) -> None:
        """Close the socket without DISCONNECT. What was not sent or not acknowledged stays so."""
        transport = self._client.socket()
        if isinstance(transport, socket.socket):
            transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            transport.shutdown(socket.SHUT_RDWR)
