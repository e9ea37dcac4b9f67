"""The bridge's books: every message received ends in exactly one account. Pure."""

from __future__ import annotations

from enum import IntEnum


class Account(IntEnum):
    PRODUCED = 0
    """All of its records are in Kafka."""
    DEAD_LETTERED = 1
    """Its dead letter is in Kafka."""
    DROPPED = 2
    """Nothing is written for it, for a reason that is counted."""
    ABSORBED = 3
    """Delivered again; its records were in Kafka already."""
    RETURNED = 4
    """Given up before Kafka confirmed its records: the broker delivers it again, to whoever holds the session then."""


class Books:
    """Counts of one bridge. A redelivery after a lost connection is received once more.

    ``shard``: what metrics call the bridge.
    """

    __slots__ = ("acknowledged", "extra", "received", "settled", "shard")

    def __init__(self, shard: str = "0") -> None:
        self.shard = shard
        self.received = 0
        self.settled = [0] * len(Account)
        """By `Account`."""
        self.acknowledged = 0
        """QoS 1 messages acknowledged towards the broker."""
        self.extra = 0
        """Records that are nobody's message: activity marks, what the bridge itself tells of a source."""

    def balanced(self, in_flight: int) -> bool:
        """Received = the sum of `Account` + in flight, where the last is counted apart."""
        return self.received == sum(self.settled) + in_flight
