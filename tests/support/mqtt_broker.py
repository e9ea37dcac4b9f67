"""A broker in memory: a scripted peer behind a transport that moves bytes without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import mqtt5

from libs.runtime.mqtt.session import Link

if TYPE_CHECKING:
    from libs.runtime.mqtt.options import Options
    from libs.runtime.mqtt.session import Receiver


class Pipe(asyncio.Transport):
    """The link's side. What the broker feeds waits while reading is paused, as it would in a socket."""

    def __init__(self, link: Link, broker: Broker) -> None:
        super().__init__()
        self._link, self._broker = link, broker
        self._waiting = bytearray()
        self._reading, self._closing, self._lost = True, False, False

    def write(self, data: Any) -> None:
        if not self._closing:
            self._broker.hear(bytes(data))

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        asyncio.get_running_loop().call_soon(self.flow)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        self._closing = True
        if not self._lost:
            self._lost = True
            asyncio.get_running_loop().call_soon(self._link.connection_lost, error)

    def feed(self, data: bytes) -> None:
        self._waiting += data
        self.flow()

    def flow(self) -> None:
        while self._waiting and self._reading and not self._closing:
            room = self._link.get_buffer(-1)
            size = min(len(room), len(self._waiting))
            room[:size] = self._waiting[:size]
            del self._waiting[:size]
            self._link.buffer_updated(size)


class Broker:
    """Answers CONNECT, SUBSCRIBE and PINGREQ; a test changes the answers and feeds what it likes."""

    def __init__(self) -> None:
        self.heard: list[mqtt5.Packet] = []
        self.pipe: Pipe
        self.link: Link
        self.connects = 0
        self.session_present = False
        self.connack = mqtt5.ConnAckReasonCode.SUCCESS
        self.granted = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
        self.answers_pings = True
        self.says_nothing = False
        self._unread = bytearray()

    async def connect(self, options: Options, receiver: Receiver) -> Link:
        """In the place of `libs.runtime.mqtt.client.tcp`."""
        self.link = Link(options, receiver)
        self.pipe = Pipe(self.link, self)
        self._unread.clear()
        self.connects += 1
        self.link.connection_made(self.pipe)
        return self.link

    def hear(self, data: bytes) -> None:
        self._unread += data
        while self._unread:
            packet, size = mqtt5.read(memoryview(bytes(self._unread)))
            del self._unread[:size]
            self.heard.append(packet)
            asyncio.get_running_loop().call_soon(self._receive, self.pipe, packet)

    def _receive(self, pipe: Pipe, packet: mqtt5.Packet) -> None:
        if pipe is self.pipe and not pipe.is_closing():  # else it was still on its way when the connection broke
            self._answer(packet)

    def _answer(self, packet: mqtt5.Packet) -> None:
        if self.says_nothing:
            return
        if isinstance(packet, mqtt5.ConnectPacket):
            self.feed(mqtt5.ConnAckPacket(session_present=self.session_present, reason_code=self.connack).write())
        elif isinstance(packet, mqtt5.SubscribePacket):
            self.feed(mqtt5.SubAckPacket(packet.packet_id, self.granted).write())
        elif isinstance(packet, mqtt5.PingReqPacket) and self.answers_pings:
            self.feed(mqtt5.PingRespPacket().write())
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.pipe.lose(None)

    def feed(self, data: bytes) -> None:
        self.pipe.feed(data)

    def acknowledged(self) -> list[int]:
        """Packet ids of the PUBACKs heard, in order."""
        return [packet.packet_id for packet in self.heard if isinstance(packet, mqtt5.PubAckPacket)]


def publish(topic: str, payload: bytes, packet_id: int | None, *, duplicate: bool = False) -> bytes:
    qos = mqtt5.QoS.AT_MOST_ONCE if packet_id is None else mqtt5.QoS.AT_LEAST_ONCE
    return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id, duplicate=duplicate).write()
