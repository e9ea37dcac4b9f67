"""The buffer of uplinks: bounded, in order, with one window of messages in flight. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from .errors import BufferFull

if TYPE_CHECKING:
    from collections.abc import Iterable

Policy: TypeAlias = Literal["drop_oldest", "drop_newest", "raise"]


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """What may wait for the broker's acknowledgement."""

    messages: int = 10_000
    size: int = 16 * 1024 * 1024
    """Bytes of topics and payloads."""
    policy: Policy = "drop_oldest"
    persistent: bool = False
    """Also through a restart of the process, in the store."""
    window: int = 10
    """Messages in flight at once."""

    def __post_init__(self) -> None:
        if min(self.messages, self.size, self.window) < 1:
            raise ValueError("a buffer holds at least one message and one byte, and has at least one in flight")


@dataclass(frozen=True, slots=True)
class Uplink:
    number: int
    """Increases with every message; the order in which they leave."""
    topic: str
    payload: bytes

    @property
    def size(self) -> int:
        return len(self.topic.encode()) + len(self.payload)


class Buffer:
    """Messages from when they are offered until they are settled.

    What is in flight is never dropped: the broker may have it.
    """

    def __init__(self, limits: BufferLimits) -> None:
        self._limits = limits
        self._waiting: dict[int, Uplink] = {}
        self._flying: dict[int, Uplink] = {}
        self.size = 0
        """Bytes of everything held."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    def restore(self, uplinks: Iterable[Uplink]) -> None:
        """Take back what an earlier process left, in order, whatever the limits are now."""
        for uplink in uplinks:
            self._hold(uplink)

    def offer(self, uplink: Uplink) -> list[Uplink]:
        """Take a message, and name what has to be dropped for it, which may be the message itself.

        Raises `BufferFull`, where it then holds what it held.
        """
        limits = self._limits
        if uplink.size > limits.size:
            raise BufferFull(f"a message of {uplink.size} bytes does not fit into a buffer of {limits.size}")
        dropped: list[Uplink] = []
        count, size = len(self) + 1, self.size + uplink.size
        oldest = iter(self._waiting.values())
        while count > limits.messages or size > limits.size:
            if limits.policy == "raise":
                raise BufferFull(f"{len(self)} messages of {self.size} bytes wait already")
            victim = next(oldest, None) if limits.policy == "drop_oldest" else None
            if victim is None:
                return [uplink]
            dropped.append(victim)
            count, size = count - 1, size - victim.size
        for victim in dropped:
            self._release(self._waiting.pop(victim.number))
        self._hold(uplink)
        return dropped

    def take(self) -> Uplink | None:
        """The next message to send, now in flight; None where nothing waits or the window is full."""
        if not self._waiting or len(self._flying) >= self._limits.window:
            return None
        uplink = self._waiting.pop(next(iter(self._waiting)))
        self._flying[uplink.number] = uplink
        return uplink

    def settle(self, number: int) -> None:
        """The broker has it, or will never take it."""
        self._release(self._flying.pop(number))

    def rewind(self) -> None:
        """The connection is gone: what was in flight goes first, in the old order."""
        self._waiting = {**self._flying, **self._waiting}
        self._flying = {}

    def _hold(self, uplink: Uplink) -> None:
        self._waiting[uplink.number] = uplink
        self.size += uplink.size

    def _release(self, uplink: Uplink) -> None:
        self.size -= uplink.size
