"""The lane's step: fold an event, then say what changed.

A transition's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the event, the position and the partition's sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.runtime.lane.model import At, Due, Output, Targets, Terms, retract
from libs.topics import catalog, names
from libs.topics.codec import InvalidMessage
from libs.topics.messages.command_events import ProbeConcluded
from libs.topics.messages.hub import LeaseRenewed, TimePassed
from libs.topics.messages.presence import (
    ConnectionObserved,
    PresenceChanged,
    SourceListed,
    SourceListingEnded,
    SourceStarted,
    TrafficSeen,
)
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered

from . import fold, leases, lives
from .forget import prune
from .model import Device, Sources
from .session import Opened, carrier, document, doubted, session, silent, source_term, state
from .transitions import transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Broadcast: TypeAlias = SourceStarted | SourceListed | SourceListingEnded | LeaseRenewed | TimePassed
Fact: TypeAlias = TrafficSeen | ProbeConcluded | DeviceRegistered | DeviceDeleted
Event: TypeAlias = ConnectionObserved | Fact | Broadcast

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
    if after is None:
        return None, ()
    if sources.doubts or after.doubts:
        after = doubted(after, sources.doubts)
    if after is before:
        return row, ()
    was, now = carrier(before), carrier(after)
    moved = not _same(was, now) or state(before, was) != state(after, now)
    hidden, was_hidden = silent(after), row is None or silent(row)
    if not moved and hidden == was_hidden and (hidden or _says_the_same(before, after)):
        return after, ()  # remembered for later, of no interest to others
    after.updated_at = at.timestamp  # of a row that the fold has just made
    product_id, _, device_id = at.key.decode().partition("/")
    shown = document(product_id, device_id, after)
    outputs: tuple[Output, ...]
    outputs = (
        (retract(names.PRESENCE_STATE, at.key),) if hidden else catalog.publish(names.PRESENCE_STATE, at.key, shown)
    )
    if moved:
        changed = transition(shown, event, at, before=before, after=after, was=was, now=now)
        tell(changed)
        outputs = catalog.publish(names.PRESENCE_TRANSITIONS, at.key, changed) + outputs
    return after, outputs


def _fold(before: Device, event: Event, at: At, sources: Sources) -> Device | None:
    if at.swept:
        return _swept(before, event, sources)
    if type(event) is ConnectionObserved:  # most are; an isinstance of a struct costs as much as decoding one
        _belongs(event, at)
        after = fold.observe(before, event, sources.starts.get(event.source))
        if sources.listings:
            return fold.name(before, after, event, sources.listings.get(event.source))
        return after
    if isinstance(event, Fact):
        _belongs(event, at)
        return _lived(before, event)
    raise Misplaced("what concerns every device of a partition is a broadcast")


def _lived(before: Device, event: Fact) -> Device:
    match event:
        case TrafficSeen():
            return fold.see_traffic(before, event)
        case ProbeConcluded():
            return fold.see_probe(before, event)
        case DeviceRegistered():
            return lives.register(before, event)
        case DeviceDeleted():
            return lives.delete(before, event)


def _belongs(event: ConnectionObserved | Fact, at: At) -> None:
    if at.key != f"{event.product_id}/{event.device_id}".encode():
        raise Misplaced(f"an event of {event.product_id}/{event.device_id} under the key {at.key!r}")


def _swept(before: Device, event: Event, sources: Sources) -> Device | None:
    match event:
        case SourceStarted():
            return fold.restart(before, event)
        case SourceListingEnded():
            return fold.reconcile(before, event.source, sources.listings[event.source])
        case TimePassed():
            return prune(before, event.at)
        case _:
            return before  # visited for what is known of its sources now


def _same(was: Opened | None, now: Opened | None) -> bool:
    """Tell whether the same channel of the same client carries the session."""
    if was is None or now is None:
        return was is now
    return was[1].id == now[1].id and was[0] == now[0]


def _says_the_same(before: Device, after: Device) -> bool:
    return (
        before.last_traffic_at == after.last_traffic_at
        and before.last_probe == after.last_probe
        and session(before) == session(after)
    )


def fold_sources(sources: Sources, event: Event, at: At) -> tuple[Sources, Targets | None]:
    """Fold a broadcast, and name the rows that it may change. Raises `Misplaced`."""
    match event:
        case TimePassed():
            after = leases.tick(sources, event)
            lapsed = leases.changed_doubts(sources, after)
            # What is due may wait for a tick at which nothing lapses.
            return after, None if after is sources else _of(lapsed) if lapsed else Due(event.at)
        case LeaseRenewed():
            after = leases.renew(sources, event)
            changed = leases.changed_doubts(sources, after)
            return after, _of(changed) if changed else None
        case SourceStarted():
            after = leases.start(sources, event)
            return after, None if after is sources else _of([event.source])
        case SourceListed():
            return leases.begin_listing(sources, event), None
        case SourceListingEnded():
            after = leases.end_listing(sources, event)
            return after, None if after is sources else _of([event.source])
        case _:
            raise Misplaced(f"{at.key!r} is no device's key")


def _of(sources: Iterable[str]) -> Terms:
    """Name the devices that have an open channel of one of these sources."""
    return Terms(tuple(source_term(source) for source in sources))
