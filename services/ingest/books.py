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


class Books:
    """Counts since the process began. A redelivery after a lost connection is received once more."""

    __slots__ = ("acknowledged", "extra", "received", "settled")

    def __init__(self) -> None:
        self.received = 0
        self.settled = [0] * len(Account)
        """By `Account`."""
        self.acknowledged = 0
        """QoS 1 messages acknowledged towards the broker."""
        self.extra = 0
        """Records that are nobody's message: activity marks, what the bridge itself tells of a source."""

    def balanced(self, in_flight: int) -> bool:
        """Received = produced + dead-lettered + dropped + absorbed + in flight, where the last is counted apart."""
        return self.received == sum(self.settled) + in_flight
