"""QoS 1 load at a steady rate from one connection, however slow the others are."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import mqtt5

from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.002
"""Seconds between two sends."""
PUBACK = 4
"""Bytes."""
TIMEOUT = 60.0


class Paced:
    """``message``: (number, moment at which it is due in microseconds since 1970) to topic and payload.

    The moment is that of the schedule, not that of the send: while the sender itself is held up, devices would not be,
    and what they would have waited for must not be missing in the figures (coordinated omission).
    """

    def __init__(self, port: int, message: Callable[[int, int], tuple[str, bytes]], rate: int, count: int) -> None:
        self._port, self._message, self._rate, self._count = port, message, rate, count
        self._unacknowledged = count * PUBACK  # bytes

    def run(self) -> float:
        """Send all and wait for the broker's acknowledgements. Returns the rate that it really was."""
        with socket.create_connection((HOST, self._port), timeout=TIMEOUT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(mqtt5.ConnectPacket("", keep_alive=0, clean_start=True).write())
            connack, _ = mqtt5.read(memoryview(connection.recv(100)))
            assert isinstance(connack, mqtt5.ConnAckPacket)
            reader = threading.Thread(target=self._read, args=(connection,), daemon=True)
            reader.start()
            began = time.monotonic()
            self._send(connection)
            seconds = time.monotonic() - began
            reader.join(TIMEOUT)
            if reader.is_alive() or self._unacknowledged > 0:
                raise TimeoutError("the broker does not acknowledge what it was sent")
            return self._count / seconds

    def _send(self, connection: socket.socket) -> None:
        sent, pause = 0, threading.Event()
        began, wall_began = time.monotonic(), time.time_ns() // 1000
        while sent < self._count:
            due = min(self._count, int((time.monotonic() - began) * self._rate) + 1)
            packets = [
                self._packet(number, wall_began + number * 1_000_000 // self._rate) for number in range(sent, due)
            ]
            connection.sendall(b"".join(packets))
            sent = due
            pause.wait(STEP)

    def _packet(self, number: int, due: int) -> bytes:
        topic, payload = self._message(number, due)
        return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number % 65_535 + 1).write()

    def _read(self, connection: socket.socket) -> None:
        while self._unacknowledged > 0 and (data := connection.recv(65_536)):
            self._unacknowledged -= len(data)


def percentile(values: list[float], part: float) -> float:
    """``part``: 0.99 for the value that 99 % do not exceed. ``values`` must be sorted and not empty."""
    return values[min(len(values) - 1, int(len(values) * part))]
