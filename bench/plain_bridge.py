"""The plain loop that ingest is compared with: same codec and clients, PUBACK in order after delivery, nothing else.

No envelope, no checks, no resume filter: after a crash it doubles whatever the broker delivers again. What it does do,
it does as cheaply as this codec and this client allow: each message is its own delivery callback, the cheapest form
measured, and the PUBACKs of a turn are joined from a table and written at once.

Usage: ``python -m bench.plain_bridge HOST PORT CLIENT_ID FILTER KAFKA TOPIC``; ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import Producer

from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import Options

if TYPE_CHECKING:
    import mqtt5
    from confluent_kafka import KafkaError, Message

    from libs.runtime.mqtt.session import Link

WINDOW = 10_000
ACKS = (b"", *(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1, 65_536)))
"""PUBACK by packet id; nothing is said about a QoS 0 message, which has packet id 0 here."""


class Entry(msgspec.Struct, gc=False, eq=False):
    """A message under way; its own delivery callback."""

    packet_id: int
    delivered: bool = False

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        self.delivered = error is None


class Plain:
    """A receiver of the MQTT session."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._order: deque[Entry] = deque()
        self._link: Link | None = None
        self._tick: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def opened(self, link: Link, *, session_present: bool) -> None:  # noqa: ARG002  (the receiver's interface)
        self._link = link

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        produce, add, topic = self._producer.produce, self._order.append, self._topic
        for packet in packets:
            entry = Entry(packet.packet_id or 0)
            produce(topic, packet.payload, packet.topic.split("/", 3)[2], -1, entry)
            add(entry)
        self._turn()
        if self._link and len(self._order) > WINDOW:
            self._link.pause("window")

    def _turn(self) -> None:
        self._tick = None
        self._producer.poll(0)
        order, done = self._order, list[int]()
        while order and order[0].delivered:
            done.append(order.popleft().packet_id)
        if self._link and done:
            self._link.write(b"".join([ACKS[packet_id] for packet_id in done]))
        if self._link and len(self._order) < WINDOW // 2:
            self._link.resume("window")
        if self._order:
            self._tick = self._tick or asyncio.get_running_loop().call_later(0.001, self._turn)

    async def leaving(self, link: Link) -> None:
        await link.leave(1.0)

    def closed(self) -> None:
        self._link = None


async def main(arguments: list[str]) -> None:
    host, port, client_id, pattern, kafka, topic = arguments
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "batch.num.messages": 10_000,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 10 * WINDOW,
            "partitioner": "murmur2_random",
            "socket.nagle.disable": True,
        }
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    session = Options(host, int(port), client_id, (pattern,), receive_max=WINDOW)
    await Client(session, Plain(producer, topic)).run(stop)
    producer.flush(5)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
