"""From the window to the broker and back: sends as much as the broker allows, hears what it acknowledges.

Everything here runs on the loop's thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from libs.runtime import logs
from libs.runtime.mqtt.session import Lost

from . import metrics
from .model import Refusal
from .packets import is_expired, packet

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    import mqtt5

    from libs.runtime.mqtt.session import Link

    from .model import Entry, Forgotten, Place, Settled
    from .window import Window

log = logs.get(__name__)

REFUSED: Final = 0x80
"""Reason codes from here on say that the broker has not taken the message."""
NO_MATCHING_SUBSCRIBERS: Final = 0x10
UNLIMITED: Final = 268_435_460
"""Bytes; MQTT's own largest packet, where the broker names none."""
AT_ONCE: Final = 500
"""Messages that are handed to the socket together at most, so that the broker begins while we go on."""
LOSSES: Final = 5
"""Connections that must break over a message that is sent alone, until the message counts as the reason."""
LEAVE: Final = 2.0
"""Seconds that the broker has to close the connection after our goodbye."""


class Publisher:
    """The receiver of the MQTT session.

    ``settled``: told of each step of a partition; ``forgotten``: of what is no longer ours.
    ``limit``: messages under way at most; the broker may allow fewer.
    """

    def __init__(
        self, window: Window, *, settled: Callable[[Settled], None], forgotten: Callable[[Forgotten], None], limit: int
    ) -> None:
        self._window, self._settled, self._forgotten, self._limit = window, settled, forgotten, limit
        self._largest = UNLIMITED
        self._link: Link | None = None
        self._released: list[tuple[frozenset[Place], Future[None]]] = []
        self.done = 0
        """Messages, in all."""

    @property
    def waiting(self) -> int:
        return self._window.waiting

    @property
    def in_flight(self) -> int:
        return self._window.in_flight

    # -- the session's receiver

    async def prepare(self) -> None:
        """Nothing is left over from a connection."""

    async def opened(self, link: Link, *, session_present: bool) -> None:  # noqa: ARG002  (the receiver's form)
        """The session is new, so that nothing of an earlier one is owed but what the window sends again."""
        allowed = link.connack.result()
        self._largest = allowed.max_packet_size or UNLIMITED
        self._window.open(min(self._limit, allowed.receive_max))
        link.acknowledged = self._acknowledged
        self._link = link
        self.turn()

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        """Nothing is subscribed to."""
        if self._link is not None:
            self._link.end(Lost(f"{len(packets)} messages that nobody asked for"))

    async def leaving(self, link: Link) -> None:
        await link.leave(LEAVE)

    def closed(self) -> None:
        broken = self._link is not None and self._link.ended.done()
        self._link = None
        self._forget(self._window.close(broken=broken))
        self._settle()

    # -- what is read

    def take(self, entries: list[Entry]) -> None:
        self._window.take(entries)
        self.turn()

    def release(self, partitions: frozenset[Place], released: Future[None]) -> None:
        """Send nothing more of these; ``released`` is resolved when nothing of them is under way."""
        self._forget(self._window.release(partitions))
        self._released.append((partitions, released))
        self.turn()

    def drop(self, partitions: frozenset[Place], dropped: Future[None]) -> None:
        """Forget these, now. What of them the socket has not taken yet must not leave any more: it is cut."""
        if self._link is not None and self._window.holds(partitions) and self._window.in_flight:
            self._link.end(Lost("partitions were taken away"))
            self._link.transport.abort()
        self._forget(self._window.drop(partitions))
        self._answer()
        dropped.set_result(None)

    def _forget(self, parts: list[Forgotten]) -> None:
        for part in parts:
            self._forgotten(part)

    # -- sending and hearing

    def turn(self) -> None:
        """Send what may be sent, then tell how far the partitions are done."""
        if self._link is not None and not self._link.transport.is_closing():
            self._send(self._link)
        self._settle()

    def _send(self, link: Link) -> None:
        window, packets, oldest = self._window, list[bytes](), 0
        now, moment = time.time_ns() // 1_000_000, time.monotonic()
        while (entry := window.next()) is not None:
            message = entry.publish
            assert message is not None, "what is done does not wait"
            if is_expired(message, now):
                window.finish(entry)
                self._count("expired")
                continue
            packet_id = window.free_id() if message.qos else 0
            written = packet(message, packet_id, now, again=entry.again)
            if (refusal := self._fault(entry, len(written))) is not None:
                window.finish(entry, refusal, now)
                self._count("unpublishable")
                continue
            packets.append(written)
            oldest, entry.sent_at = oldest or entry.record.timestamp, moment
            if entry.again:
                metrics.REPEATS.inc()
            if message.qos:
                window.fly(entry, packet_id)
            else:
                window.finish(entry)
                self._count("unconfirmed")
            if len(packets) == AT_ONCE:
                link.write(b"".join(packets))
                packets.clear()
        if packets:
            link.write(b"".join(packets))
        if oldest:
            metrics.DELAY_SECONDS.observe(max(0, now - oldest) / 1000)

    def _fault(self, entry: Entry, size: int) -> Refusal | None:
        if size > self._largest:
            return Refusal("packet_too_large", f"{size} bytes, the broker allows {self._largest}")
        if entry.losses >= LOSSES:
            return Refusal("connection_breaker", f"sent alone, it was the last of {entry.losses} connections")
        return None

    def _acknowledged(self, acks: list[mqtt5.PubAckPacket]) -> None:
        oldest, now = 0.0, time.time_ns() // 1_000_000
        counts = {"published": 0, "no_subscribers": 0, "refused": 0}
        for ack in acks:
            code = int(ack.reason_code)
            refusal = None if code < REFUSED else _refusal(ack, code)
            entry = self._window.land(ack.packet_id, now, refusal, heard=code != NO_MATCHING_SUBSCRIBERS)
            if entry is None:
                continue  # of a partition that was taken away
            oldest = oldest or entry.sent_at
            if not code:
                counts["published"] += 1
            elif code < REFUSED:
                counts["no_subscribers"] += 1
            else:
                counts["refused"] += 1
                metrics.REFUSALS.labels(f"{code:#04x}").inc()
        for outcome, count in counts.items():
            if count:
                self._count(outcome, count)
        if oldest:
            metrics.PUBACK_SECONDS.observe(time.monotonic() - oldest)
        self.turn()

    def _count(self, outcome: str, count: int = 1) -> None:
        self.done += count
        metrics.MESSAGES.labels(outcome).inc(count)

    def _settle(self) -> None:
        for step in self._window.settle():
            self._settled(step)
        self._answer()

    def _answer(self) -> None:
        """Resolve who waits for partitions of which nothing is under way any more."""
        if self._released:
            waiting, self._released = self._released, []
            for partitions, released in waiting:
                if self._window.holds(partitions):
                    self._released.append((partitions, released))
                else:
                    released.set_result(None)


def _refusal(ack: mqtt5.PubAckPacket, code: int) -> Refusal:
    said = f": {ack.reason_str}" if ack.reason_str else ""
    return Refusal("refused_by_broker", f"the broker answered with reason code {code:#04x}{said}")
