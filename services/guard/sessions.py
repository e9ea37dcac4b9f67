"""Short connections to mosquitto's internal listener, each with one purpose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import mqtt5

from libs.runtime.mqtt.options import options

if TYPE_CHECKING:
    from libs.runtime.settings import MqttSettings

CLIENT_ID: Final = "fleetlog-guard"
PATIENCE: Final = 5.0
"""Seconds for all of one connection."""
AT_ONCE: Final = 50


class Unreachable(ConnectionError):
    """The internal listener does not answer, or refuses us."""


class Sessions:
    """Raises OSError where a file for TLS is missing or not PEM."""

    def __init__(self, settings: MqttSettings) -> None:
        self._options = options(settings, CLIENT_ID, (), receive_max=1)

    async def reloaded(self) -> None:
        """Return when a SIGHUP that was sent before has had its effect. Raises `Unreachable`.

        mosquitto reloads at the end of the round of its loop in which the signal came. Our CONNECT is answered in that
        round or a later one, and so the ping that follows the answer is answered after the reload.
        """
        await self._connect(CLIENT_ID, ping=True)

    async def end(self, client_ids: list[str]) -> None:
        """End these sessions with all that waits in them, connected or not. Raises `Unreachable`; some may be left.

        A clean start under the same client id discards what the broker kept for it. Our user name is not the client
        id, as every device's is: ingest knows the connection by that and does not take it for the device's.
        """
        for first in range(0, len(client_ids), AT_ONCE):
            await asyncio.gather(*map(self._connect, client_ids[first : first + AT_ONCE]))

    async def _connect(self, client_id: str, *, ping: bool = False) -> None:
        o = self._options
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(o.host, o.port, ssl=o.tls)
                try:
                    connect = mqtt5.ConnectPacket(
                        client_id, username=o.username, password=o.password, clean_start=True, keep_alive=60
                    )
                    writer.write(connect.write())
                    answer = await _packet(reader)
                    if not isinstance(answer, mqtt5.ConnAckPacket) or int(answer.reason_code):
                        raise Unreachable(f"CONNECT as {client_id} was answered by {answer!r}")
                    if ping:
                        writer.write(mqtt5.PingReqPacket().write())
                        await _packet(reader)
                    writer.write(mqtt5.DisconnectPacket().write())
                    await writer.drain()
                finally:
                    writer.close()
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error


async def _packet(reader: asyncio.StreamReader) -> mqtt5.Packet:
    """Raises EOFError at the end of the stream, ValueError for bytes that are no MQTT."""
    received = bytearray(await reader.readexactly(2))
    while received[-1] & 0x80:  # the remaining length goes on
        received += await reader.readexactly(1)
    length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(received[1:]))
    received += await reader.readexactly(length)
    packet, _ = mqtt5.read(memoryview(bytes(received)))
    return packet
