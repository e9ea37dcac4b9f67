"""From the buffer to the broker: what is sent when, and who hears of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from .buffer import Buffer, BufferLimits, Uplink
from .errors import DeviceError, Dropped, PublishRefused
from .handlers import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link
    from .store import Store

REPLIES: Final = BufferLimits(messages=1_000_000, size=1 << 30, policy="raise")
"""As many as there are commands: each of them is in the store."""


class Receipt:
    """A message that was taken into the buffer."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self._ended = asyncio.Event()
        self._failure: DeviceError | None = None

    @property
    def done(self) -> bool:
        """Whether the broker has it, or never will."""
        return self._ended.is_set()

    async def acknowledged(self) -> None:
        """Return when the broker has the message. Raises `Dropped` and `PublishRefused`."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def end(self, failure: DeviceError | None = None) -> None:
        self._failure = failure
        self._ended.set()


class Uplinks:
    """The buffer, its part of the store, and the window of messages in flight.

    Replies to commands pass the buffer by: the caller of an RPC waits for a few seconds only.
    """

    def __init__(self, limits: BufferLimits, store: Store) -> None:
        self._store, self._persistent = store, limits.persistent
        self._buffer, self._replies = Buffer(limits), Buffer(REPLIES)
        self._receipts: dict[int, Receipt] = {}
        self._after: dict[int, Callable[[DeviceError | None], None]] = {}
        self._next = 1
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.dropped = 0

    def restore(self) -> None:
        """Take up what the process before left in the store."""
        left = self._store.uplinks()
        self._buffer.restore(left)
        self._next = left[-1].number + 1 if left else 1
        self._look()

    def __len__(self) -> int:
        """Messages that the broker has not acknowledged, replies included."""
        return len(self._buffer) + len(self._replies)

    def offer(self, topic: str, payload: bytes, message_id: str) -> Receipt:
        """Raises `BufferFull`."""
        uplink = self._number(topic, payload)
        receipt = Receipt(message_id)
        dropped = self._buffer.offer(uplink)
        self._receipts[uplink.number] = receipt
        if self._persistent and uplink not in dropped:
            self._store.add_uplink(uplink)
        for victim in dropped:
            self._drop(victim)
        self._look()
        return receipt

    def reply(self, topic: str, payload: bytes, settled: Callable[[DeviceError | None], None] = lambda _: None) -> None:
        """Send a reply, and call ``settled`` when the broker has it, or refused it for good, with why."""
        uplink = self._number(topic, payload)
        self._replies.offer(uplink)
        self._after[uplink.number] = settled
        self._look()

    async def pump(self, link: Link) -> None:
        """Send until cancelled. Raises `ConnectionLost`. What was in flight then goes first the next time."""
        try:
            async with asyncio.TaskGroup() as flights:
                while True:
                    self._changed.clear()
                    while taken := self._take():
                        flights.create_task(self._send(link, *taken))
                    await self._changed.wait()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._buffer.rewind()
            self._replies.rewind()

    async def drained(self) -> None:
        """Return when the broker has everything."""
        await self._empty.wait()

    def _take(self) -> tuple[Buffer, Uplink] | None:
        for buffer in (self._replies, self._buffer):
            uplink = buffer.take()
            if uplink is not None:
                return buffer, uplink
        return None

    async def _send(self, link: Link, buffer: Buffer, uplink: Uplink) -> None:
        failure: DeviceError | None = None
        try:
            await link.publish(uplink.topic, uplink.payload)
        except PublishRefused as error:
            log.warning("the broker refused a message: %s", error)
            failure = error
        buffer.settle(uplink.number)
        if buffer is self._buffer and self._persistent:
            self._store.remove_uplinks([uplink.number])
        if (receipt := self._receipts.pop(uplink.number, None)) is not None:
            receipt.end(failure)
        if (after := self._after.pop(uplink.number, None)) is not None:
            after(failure)
        self._look()

    def _number(self, topic: str, payload: bytes) -> Uplink:
        uplink = Uplink(self._next, topic, payload)
        self._next += 1
        return uplink

    def _drop(self, victim: Uplink) -> None:
        self.dropped += 1
        log.warning("the buffer is full: dropped a message for %s", victim.topic)
        if self._persistent:
            self._store.remove_uplinks([victim.number])
        if (receipt := self._receipts.pop(victim.number, None)) is not None:
            receipt.end(Dropped(f"{victim.topic}: the buffer is full"))

    def _look(self) -> None:
        self._changed.set()
        (self._empty.clear if len(self) else self._empty.set)()
