"""QoS 1 load from one connection, quick enough that the publisher is not what a test waits for."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

import mqtt5

from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

UNACKNOWLEDGED = 500
CHUNK = 50
TIMEOUT = 60.0


class Load(threading.Thread):
    """Publishes (topic, payload) pairs in order, at most `UNACKNOWLEDGED` ahead of the broker's acknowledgements.

    ``pause``: seconds between two chunks of `CHUNK` messages. A failure comes out of `done`.
    """

    def __init__(self, port: int, messages: Iterable[tuple[str, bytes]], pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._port, self._messages, self._pause = port, iter(messages), pause
        self._result: Future[None] = Future()
        self.acknowledged = 0
        self.ahead = 0
        """Messages sent and, when the connection ended, not acknowledged: they may have arrived or not."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.join(TIMEOUT)

    def run(self) -> None:
        try:
            with socket.create_connection((HOST, self._port), timeout=TIMEOUT) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._publish(connection)
            self._result.set_result(None)
        except Exception as error:  # noqa: BLE001  (raised again by `done`)
            self._result.set_exception(error)

    def done(self, timeout: float = TIMEOUT) -> int:
        """Waits until the broker has acknowledged everything; returns how many messages that were."""
        self._result.result(timeout)
        return self.acknowledged

    def failure(self, timeout: float = TIMEOUT) -> BaseException | None:
        """Waits for the end; what ended it early, else None."""
        return self._result.exception(timeout)

    def _publish(self, connection: socket.socket) -> None:
        connection.sendall(mqtt5.ConnectPacket("", keep_alive=0, clean_start=True).write())
        unread, sent, waiting, more = bytearray(), 0, True, True
        pause = threading.Event()
        while more or self.acknowledged < sent:
            if more and not waiting and sent - self.acknowledged < UNACKNOWLEDGED:
                chunk = [packet for _, packet in zip(range(CHUNK), self._packets(sent), strict=False)]
                self.ahead = sent + len(chunk) - self.acknowledged
                connection.sendall(b"".join(chunk))
                sent += len(chunk)
                more = len(chunk) == CHUNK
                if self._pause:
                    pause.wait(self._pause)
            if waiting or sent > self.acknowledged:
                if not (data := connection.recv(65_536)):
                    raise ConnectionError("closed by the broker")
                unread += data
                waiting = self._read(unread) and waiting

    def _packets(self, sent: int) -> Iterable[bytes]:
        for number, (topic, payload) in enumerate(self._messages, sent):
            packet_id = number % 65_535 + 1
            yield mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id).write()

    def _read(self, unread: bytearray) -> bool:
        """Takes whole packets off ``unread``; returns whether the CONNACK is still to come."""
        waiting = True
        while len(unread) > 1 and len(unread) >= 2 + unread[1]:  # answers are short: one byte of length
            packet, size = mqtt5.read(memoryview(bytes(unread[: 2 + unread[1]])))
            del unread[:size]
            if isinstance(packet, mqtt5.PubAckPacket):
                self.acknowledged += 1
                self.ahead -= 1
            elif isinstance(packet, mqtt5.ConnAckPacket):
                assert int(packet.reason_code) == 0, packet.reason_code
                waiting = False
            else:
                raise ConnectionError(f"unexpected {packet!r}")
        return waiting
