"""Messages under way, in the order in which the broker must see them acknowledged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka import KafkaError

from .books import Account

if TYPE_CHECKING:
    from confluent_kafka import Message

ACKS: Final = (b"", *(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1, 65_536)))
"""PUBACK by packet id; a QoS 0 message has packet id 0 here, and nothing is said about it."""
REFUSED: Final = -1_000_000
"""Below any number of records that are left to be delivered."""
EXPIRED: Final = -2_000_000
_GIVEN_UP: Final = frozenset(
    {KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001  (public codes)
)
"""The record has only become too old, or was dropped by us: delivered again, its message has another chance."""


class Entry(msgspec.Struct, gc=False, eq=False):
    """A message under way; its own delivery callback, which is the cheapest form measured.

    Thousands are under way at a time, and none is part of a cycle: the collector need not look at them.
    """

    packet_id: int
    account: Account = Account.PRODUCED
    """Where it is counted once it is done."""
    left: int = 1
    """Records not delivered yet; below 0: one never will be, so that nothing behind is acknowledged."""

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.left -= 1
        else:
            self.left = EXPIRED if error.code() in _GIVEN_UP else REFUSED


class Order:
    """A queue of entries."""

    __slots__ = ("add", "entries")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.add = self.entries.append

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def refused(self) -> bool:
        """Whether the first entry can never be done."""
        return bool(self.entries) and self.entries[0].left < 0

    @property
    def expired(self) -> bool:
        """Whether it cannot be done only because a record was given up."""
        return bool(self.entries) and self.entries[0].left <= EXPIRED

    def take_done(self) -> list[Entry]:
        """Removes and returns the first entries, as far as they are done."""
        entries, done = self.entries, list[Entry]()
        while entries and not entries[0].left:
            done.append(entries.popleft())
        return done

    def take_all(self) -> list[Entry]:
        entries = list(self.entries)
        self.entries.clear()
        return entries


def acknowledgements(entries: list[Entry]) -> bytes:
    """PUBACKs, in order."""
    return b"".join([ACKS[entry.packet_id] for entry in entries])
