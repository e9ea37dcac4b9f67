"""The lane's step: fold an event, then say what changed.

A transition's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the event and the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.runtime.lane.model import At, Output, Terms
from libs.topics import catalog, names
from libs.topics.codec import InvalidMessage
from libs.topics.messages.hub import LeaseRenewed
from libs.topics.messages.presence import (
    ConnectionObserved,
    PresenceChanged,
    PresenceDocument,
    SourceListed,
    SourceListingEnded,
    SourceStarted,
    TrafficSeen,
)

from . import fold
from .forget import TIES
from .model import Cause, Device, Sources, Start
from .session import Opened, carrier, end_of, session, source_term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Watch: TypeAlias = LeaseRenewed | SourceListed | SourceListingEnded
"""How well a source is watched."""
Broadcast: TypeAlias = SourceStarted | Watch
Event: TypeAlias = ConnectionObserved | TrafficSeen | Broadcast

UNKNOWN = Device()
"""A device of which nothing was heard. Never stored: the fold replaces what it changes."""


class Misplaced(InvalidMessage):
    """An event under a key that is not its own."""

    code = reason = "misplaced"


def ignore(_: PresenceChanged) -> None:
    """Whom `step` tells by default: nobody."""


def step(
    row: Device | None, event: Event, at: At, sources: Sources, tell: Callable[[PresenceChanged], None] = ignore
) -> tuple[Device | None, Sequence[Output]]:
    """Fold one event. ``tell`` hears of every transition, for counters; it has no say.

    Raises `Misplaced` and `fold.NamelessConnect`: dead letters.
    """
    before = UNKNOWN if row is None else row
    after = _fold(before, event, at, sources)
    if after is before:
        return row, ()
    was, now = carrier(before), carrier(after)
    moved = not _same(was, now)
    if not moved and row is not None and _says_the_same(before, after):
        return after, ()  # remembered for later, of no interest to others
    product_id, _, device_id = at.key.decode().partition("/")
    shown = PresenceDocument(product_id, device_id, session(after), after.last_traffic_at, at.timestamp)
    outputs = catalog.publish(names.PRESENCE_STATE, at.key, shown)
    if moved:
        changed = _transition(shown, event, at, after, was=was, now=now)
        tell(changed)
        outputs = catalog.publish(names.PRESENCE_TRANSITIONS, at.key, changed) + outputs
    return after, outputs


def _fold(before: Device, event: Event, at: At, sources: Sources) -> Device:
    if isinstance(event, SourceStarted):
        if not at.swept:
            raise Misplaced("a source's start concerns every device: it is a broadcast")
        return fold.restart(before, event)
    if isinstance(event, Watch):
        raise Misplaced("how well a source is watched concerns every device: it is a broadcast")
    if at.key != f"{event.product_id}/{event.device_id}".encode():
        raise Misplaced(f"an event of {event.product_id}/{event.device_id} under the key {at.key!r}")
    if isinstance(event, TrafficSeen):
        return fold.see_traffic(before, event)
    return fold.observe(before, event, sources.starts.get(event.source))


def _same(was: Opened | None, now: Opened | None) -> bool:
    """Tell whether the same channel of the same client carries the session."""
    if was is None or now is None:
        return was is now
    return was[1].id == now[1].id and was[0] == now[0]


def _says_the_same(before: Device, after: Device) -> bool:
    return before.last_traffic_at == after.last_traffic_at and session(before) == session(after)


def _transition(
    shown: PresenceDocument, event: Event, at: At, after: Device, *, was: Opened | None, now: Opened | None
) -> PresenceChanged:
    """Either a connect has just opened the channel that carries the session now, or the one that did has ended."""
    cause: Cause
    if isinstance(event, ConnectionObserved) and now is not None and _opened_by(event, now):
        cause = "taken_over" if was is not None and was[0] == now[0] else "connected"
        client_id, source, moment, reason = event.client_id, event.source, event.time, None
    else:
        assert was is not None
        end = end_of(after, was[0])
        client_id, source, moment, cause, reason = was[0], end.source, end.at, end.cause, end.reason
    return PresenceChanged(
        id=at.id(),
        product_id=shown.product_id,
        device_id=shown.device_id,
        old="offline" if was is None else "online",
        new="offline" if now is None else "online",
        cause=cause,
        reason=reason,
        client_id=client_id,
        channel_id=None if now is None else now[1].id,
        previous_channel_id=None if was is None else was[1].id,
        source=source,
        at=moment,
        observed_at=at.timestamp,
    )


def _opened_by(event: ConnectionObserved, now: Opened) -> bool:
    return event.event == "connect" and event.channel_id == now[1].id and event.client_id == now[0]


def fold_sources(sources: Sources, event: Event, at: At) -> tuple[Sources, Terms | None]:
    """Fold a source's start, and name the rows that it closes channels of. Raises `Misplaced`."""
    if isinstance(event, Watch):
        return sources, None
    if not isinstance(event, SourceStarted):
        raise Misplaced(f"{at.key!r} is no device's key")
    known = sources.starts.get(event.source)
    sequences: tuple[int, ...] = (event.sequence,)
    if known is not None and event.time <= known.at:
        if event.time < known.at or event.sequence in known.sequences:
            return sources, None
        sequences = (*known.sequences, event.sequence)[-TIES:]
    starts = {**sources.starts, event.source: Start(event.time, sequences)}
    return Sources(starts), Terms((source_term(event.source),))
