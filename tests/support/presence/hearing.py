"""When a lease lapses, told by walking from tick to tick: patience is spent only while the hub could hear."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.topics.messages.hub import LeaseRenewed, TimePassed

DEAFNESS = 5000
"""Milliseconds between two ticks after which nobody may be blamed for a silence."""


def lapsed_at(renewals: Iterable[LeaseRenewed], ticks: Iterable[TimePassed]) -> int | None:
    """The moment at which a source's patience with its devices ended; None: it has not, or there never was a lease."""
    lease = max(renewals, key=lambda one: (one.expires_at, one.ingested_at), default=None)
    if lease is None:
        return None
    at, left = lease.ingested_at, lease.expires_at - lease.ingested_at
    for before, now in pairwise([None, *(tick.at for tick in ticks)]):
        assert now is not None
        if now <= at:
            continue
        if before is None or now - before <= DEAFNESS:
            if left < now - at:
                return at + left
            left -= now - at
        at = now
    return None
