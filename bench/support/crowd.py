"""A process full of devices that reply to commands: ``python -m bench.support.crowd PORT PRODUCT FIRST COUNT``.

Each has a connection of its own, and is little else: one MQTT 5 client of a library costs more than what is measured.
A device that is connected asks for the time, by which the hub knows that it is there, and asks again until it is told,
since the hub's answer expires soon. It replies to a command at once;
to one that is called ``hold`` after so many seconds as the payload says, a number. When all devices have had the time
told, the process says ``ready`` in a line, and then, about twice a second while there is news, how many commands came
and when the last one did, by the clock of the machine: ``got 5000 123.456``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import mqtt5
import uvloop

from devstack.ports import HOST

AT_ONCE: Final = 200
"""Connections that are opened at the same time: the broker's backlog is not endless."""
NEWS: Final = 0.5
"""Seconds."""
AGAIN: Final = 5.0
"""Seconds for which a device waits for the time, which is how long the hub's answer lives."""
HOLD: Final = "hold"
QOS: Final = mqtt5.QoS.AT_LEAST_ONCE


class Crowd:
    """What its devices have seen together."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        """Devices that were told the time."""
        self.got = 0
        self.last = 0.0


class Device(asyncio.Protocol):
    def __init__(self, crowd: Crowd, product_id: str, device_id: str) -> None:
        self._crowd, self._key, self._id = crowd, f"{product_id}/{device_id}", device_id
        self._unread = b""
        self._packet_id = 0
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one without saying so
        self._write(mqtt5.ConnectPacket(self._key, username=self._key, keep_alive=0, clean_start=True).write())

    def connection_lost(self, error: Exception | None) -> None:
        print(f"lost {self._key} {error}", flush=True)

    def data_received(self, data: bytes) -> None:
        unread = self._unread + data
        while len(unread) > 1 and (size := _size(unread)) <= len(unread):
            packet, _ = mqtt5.read(memoryview(unread[:size]))
            unread = unread[size:]
            self._take(packet)
        self._unread = unread

    def _take(self, packet: object) -> None:
        if isinstance(packet, mqtt5.PublishPacket):
            answer = b"" if packet.packet_id is None else mqtt5.PubAckPacket(packet.packet_id).write()
            self._write(answer + self._reply(packet))
        elif isinstance(packet, mqtt5.ConnAckPacket):
            if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                raise ConnectionError(f"{self._key} is not let in: {packet.reason_code}")
            filters = [mqtt5.TopicFilter(f"{kind}/{self._key}/#", max_qos=QOS) for kind in ("cmd", "rpc")]
            self._write(mqtt5.SubscribePacket(1, filters).write())
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._ask()
            self.subscribed.set_result(None)

    def _ask(self) -> None:
        if self._id not in self._crowd.ready:
            self._write(self._publish(f"get/{self._key}/$ntp/1", b"{}"))
            asyncio.get_running_loop().call_later(AGAIN, self._ask)

    def _reply(self, packet: mqtt5.PublishPacket) -> bytes:
        kind, _, _, command, _, request_id, *_ = packet.topic.split("/")  # the hub's own have no moment of expiry
        if command.startswith("$"):
            if command == "$set_ntp":
                self._crowd.ready.add(self._id)
            return b""
        self._crowd.got += 1
        self._crowd.last = time.monotonic()
        topic = f"{kind}_resp/{self._key}/{command}/{request_id}/{request_id}"
        if command != HOLD:
            return self._publish(topic, b'{"done":true,"took_ms":12}')
        asyncio.get_running_loop().call_later(float(packet.payload), self._later, topic)
        return b""

    def _later(self, topic: str) -> None:
        self._write(self._publish(topic, b"true"))

    def _publish(self, topic: str, payload: bytes) -> bytes:
        self._packet_id = self._packet_id % 65_535 + 1
        return mqtt5.PublishPacket(topic, payload, qos=QOS, packet_id=self._packet_id).write()

    def _write(self, packets: bytes) -> None:
        assert self._transport is not None
        self._transport.write(packets)


def _size(unread: bytes) -> int:
    """Return the bytes of the first packet; more than there are, where its length is not complete."""
    length = shift = 0
    for place in range(1, min(5, len(unread))):
        length |= (unread[place] & 0x7F) << shift
        shift += 7
        if unread[place] < 0x80:
            return place + 1 + length
    return len(unread) + 1


async def _run(port: int, product_id: str, first: int, count: int) -> None:
    crowd, free = Crowd(), asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def connect(number: int) -> None:
        async with free:
            _, device = await loop.create_connection(lambda: Device(crowd, product_id, f"d{number}"), HOST, port)
            await device.subscribed

    async with asyncio.TaskGroup() as group:
        for number in range(first, first + count):
            group.create_task(connect(number))
    said = -1
    while True:
        await asyncio.sleep(NEWS)
        if said < 0 and len(crowd.ready) == count:
            said = 0
            print("ready", flush=True)
        elif said >= 0 and crowd.got != said:
            said = crowd.got
            print(f"got {said} {crowd.last}", flush=True)


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
