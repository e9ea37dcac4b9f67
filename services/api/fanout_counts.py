"""How far a fan-out is: what the owners of its members remember, and what is stored, made one. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from libs.topics.messages.base import Millis

from .command_calls import ENDS, OPEN_STATES
from .fanout_documents import FanOut


class Started(msgspec.Struct, frozen=True, array_like=True):
    """How a fan-out began, as far as it is stored."""

    product_id: str
    tag: str
    at: Millis
    partitions: int
    members: int
    refused: int


class Tally(msgspec.Struct, frozen=True):
    """Commands of a fan-out by their states, as one source has them."""

    states: Counter[str]
    late: int
    """Of them such as were replied to when they were over."""

    def whole(self, started: Started | None, partitions: int) -> bool:
        """Tell whether every member is known to be counted. ``partitions``: of the hub."""
        if started is None or started.partitions < partitions:
            return False
        return self.states.total() >= started.members - started.refused


class Seen(msgspec.Struct, frozen=True):
    """What one look at a fan-out showed."""

    counts: FanOut
    started: Started | None
    begun: bool
    """Nothing says that a partition has still to visit its members: neither does a store that has nothing yet."""
    whole: bool
    """Every member is counted: none that is open in truth is missing."""
    sure: bool
    """Every member is counted as its owner has it: what is stored can add nothing."""


def seen(
    fanout_id: str, product_id: str, started: Started | None, owners: Tally, *, stored: Tally | None, partitions: int
) -> Seen:
    """Sum up a look: by the source that knows more members, the owners where both know as many.

    ``stored``: None where it was not asked for. ``partitions``: of the hub.
    """
    told = owners if stored is None else max(owners, stored, key=lambda tally: tally.states.total())
    return Seen(
        counts=_counts(fanout_id, product_id, started, told),
        started=started,
        begun=started is None or started.partitions >= partitions,
        whole=told.whole(started, partitions),
        sure=owners.whole(started, partitions),
    )


def _counts(fanout_id: str, product_id: str, started: Started | None, told: Tally) -> FanOut:
    refused = 0 if started is None else started.refused
    states: dict[str, Any] = {state: told.states[state] for state in (*OPEN_STATES, *ENDS)}
    return FanOut(
        fanout_id=fanout_id,
        product_id=product_id,
        tag=None if started is None else started.tag,
        started_at=None if started is None else started.at,
        partitions=0 if started is None else started.partitions,
        members=refused + told.states.total(),
        refused=refused,
        **states,
        open=sum(told.states[state] for state in OPEN_STATES),
        late=told.late,
    )
