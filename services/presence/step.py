"""The lane's step: fold an event, then say what changed.

A transition's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the event and the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.runtime.lane.model import At, Output, Terms
from libs.topics import catalog, names
from libs.topics.codec import InvalidMessage
from libs.topics.messages.presence import (
    ConnectionObserved,
    OpenChannel,
    PresenceChanged,
    PresenceDocument,
    Session,
    SourceStarted,
    TrafficSeen,
)

from . import fold
from .forget import TIES
from .model import Cause, Device, Sources, Start
from .session import end_of, session, source_term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Event: TypeAlias = ConnectionObserved | SourceStarted | TrafficSeen

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
    product_id, _, device_id = at.key.decode().partition("/")
    before = UNKNOWN if row is None else row
    if isinstance(event, SourceStarted):
        if not at.swept:
            raise Misplaced("a source's start concerns every device: it is a broadcast")
        after = fold.restart(before, event)
    elif (event.product_id, event.device_id) != (product_id, device_id):
        raise Misplaced(f"an event of {event.product_id}/{event.device_id} under the key {at.key!r}")
    elif isinstance(event, TrafficSeen):
        after = fold.see_traffic(before, event)
    else:
        after = fold.observe(before, event, sources.starts.get(event.source))
    if after is before:
        return row, ()
    old, new = session(before), session(after)
    if row is not None and old == new and before.last_traffic_at == after.last_traffic_at:
        return after, ()  # remembered for later, of no interest to others
    shown = PresenceDocument(product_id, device_id, new, after.last_traffic_at, at.timestamp)
    outputs = catalog.publish(names.PRESENCE_STATE, at.key, shown)
    if _carrier(old) != _carrier(new):
        changed = _transition(shown, event, at, old, after)
        tell(changed)
        outputs = (*catalog.publish(names.PRESENCE_TRANSITIONS, at.key, changed), *outputs)
    return after, outputs


def _carrier(shown: Session) -> tuple[str, str] | None:
    """Name the channel that carries the session: the newest one that is open."""
    return (shown.channels[-1].client_id, shown.channels[-1].channel_id) if shown.channels else None


def _transition(shown: PresenceDocument, event: Event, at: At, old: Session, after: Device) -> PresenceChanged:
    """Either a connect has just opened the channel that carries the session now, or the one that did has ended."""
    was = old.channels[-1] if old.channels else None
    now = shown.session.channels[-1] if shown.session.channels else None
    cause: Cause
    if isinstance(event, ConnectionObserved) and now is not None and _opened_by(now, event):
        cause = "taken_over" if was is not None and was.client_id == now.client_id else "connected"
        client_id, source, moment, reason = event.client_id, event.source, event.time, None
    else:
        assert was is not None
        end = end_of(after, was.client_id)
        client_id, source, moment, cause, reason = was.client_id, end.source, end.at, end.cause, end.reason
    return PresenceChanged(
        id=at.id(),
        product_id=shown.product_id,
        device_id=shown.device_id,
        old=old.state,
        new=shown.session.state,
        cause=cause,
        reason=reason,
        client_id=client_id,
        channel_id=None if now is None else now.channel_id,
        previous_channel_id=None if was is None else was.channel_id,
        source=source,
        at=moment,
        observed_at=at.timestamp,
    )


def _opened_by(channel: OpenChannel, event: ConnectionObserved) -> bool:
    return event.event == "connect" and (channel.client_id, channel.channel_id) == (event.client_id, event.channel_id)


def fold_sources(sources: Sources, event: Event, at: At) -> tuple[Sources, Terms | None]:
    """Fold a source's start, and name the rows that it closes channels of. Raises `Misplaced`."""
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
