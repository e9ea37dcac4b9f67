"""Values that pump and keeper share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a connection's messages are handled."""

    CLOSED = 0
    UNDECIDED = 1
    """Session resumed, no QoS 1 message seen yet."""
    LOADING = 2
    """The tail is being read; messages wait."""
    FILTER = 3
    """Messages with DUP=1 go through the filter."""
    LIVE = 4
    """Everything is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times are seconds."""

    window: int = 10_000
    """Messages under way to Kafka; above it, reading from the broker pauses."""
    busy: int = 250
    """Messages under way above which reading rests after a small read: what is read at once goes to Kafka at once."""
    full: int = 500
    """Messages from which on a read is not small."""
    rest: float = 0.004
    poll: float = 0.001
    """Pause between two looks at delivery reports while something is under way: 5 ms is not cheaper."""
    checkpoint: float = 2.0
    checkpoint_every: int = 20_000
    """Messages. Packet ids tell messages apart within 65,535 deliveries only: the tail should stay well below that."""
    idle_checkpoint: float = 30.0
    quiet: float = 0.25
    """How long the ends of the topics must stand still before a tail is read."""
    stop: float = 10.0
