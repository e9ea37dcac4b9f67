"""Devices as the registry and presence tell of them: they begin, carry tags, come online, and end. Pure.

A device that was deleted leaves a remnant for a while, which drops what comes late: a message that the broker delivers
again, or one that was under way.
"""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING, Final

from . import mouth, template
from .changes import Changed, delete
from .fold import REGISTRY, settle
from .model import Entry, Head

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.shadow.trees import Tree
    from libs.topics.messages.base import Millis
    from libs.topics.messages.presence import PresenceChanged
    from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered, TagsChanged

    from .model import Reference

REMNANT: Final = 60_000
"""Milliseconds for which a deleted device's row drops what comes late."""
_CAUSE: Final = re.compile(r"(?P<inbox>.+?-[0-9]+)-(?P<offset>[0-9]+)-")
"""What the id of an event says of its cause (`At.id`): its partition and the place in that."""


def register(entry: Entry, event: DeviceRegistered, at: At, shared: Reference) -> tuple[Entry, tuple[Output, ...]]:
    """Begin a device's life. One that is met again changes nothing."""
    if event.version <= entry.registry_version:
        return entry, ()
    row = copy(entry)
    if entry.gone_at is not None:
        row = Entry(product_id=event.product_id, session=entry.session, presence_id=entry.presence_id)
    if not row.since or entry.gone_at is not None:
        row.since = at.timestamp
    row.registered, row.registry_version, row.tags = True, event.version, event.tags
    product = shared.cells.get(event.product_id)
    if product is None:  # several workers write into this inbox, and the registry's order is none between them
        row.untemplated = True
        return row, ()
    return begin(row, product.template, at)


def begin(entry: Entry, known: Tree | None, at: At) -> tuple[Entry, tuple[Output, ...]]:
    """Fill a registered device's shadow up with its product's template."""
    row = copy(entry)
    row.untemplated = False
    made = template.begin(row, known, at)
    if made is None:
        return row, ()
    if type(made) is not Changed:
        return row, made.outputs
    row = settle(row, made.event, made.after)
    return row, made.outputs + told(row, None, at, 1)


def retag(entry: Entry, event: TagsChanged) -> Entry:
    """Give a device other tags. An event that is met again, or concerns an earlier life, changes nothing."""
    if event.version <= entry.registry_version:
        return entry
    row = copy(entry)
    row.registered, row.registry_version, row.tags = True, event.version, event.tags
    return row


def end(entry: Entry, event: DeviceDeleted, at: At) -> tuple[Entry, tuple[Output, ...]]:
    """End a device's life: all its shadows are deleted."""
    if event.version <= entry.registry_version:
        return entry, ()
    outputs: tuple[Output, ...] = ()
    shadows = [None, *entry.named] if entry.classic is not None else [*entry.named]
    for n, shadow in enumerate(shadows):
        outputs += delete(entry, shadow, at, REGISTRY, event.by, n=n).outputs
    remnant = Entry(
        product_id=entry.product_id,
        registry_version=event.version,
        gone_at=at.timestamp,
        session=entry.session,
        presence_id=entry.presence_id,
    )
    return remnant, outputs


def deadline(entry: Head) -> Millis | None:
    """When a remnant goes."""
    return None if entry.gone_at is None else entry.gone_at + REMNANT


def pass_time(entry: Entry, now: Millis) -> Entry | None:
    """Let a remnant go whose time has come."""
    return None if entry.gone_at is not None and entry.gone_at + REMNANT <= now else entry


def connect(entry: Entry, event: PresenceChanged, at: At) -> tuple[Entry | None, tuple[Output, ...]]:
    """Note whether a device is online; after silence, or on a channel that is new, it is told what it missed.

    Also in doubt: it may connect while nobody watches its broker, and later be known to be online on that channel.
    """
    if _met(event.id, entry.presence_id):
        return entry, ()
    row = copy(entry)
    row.session, row.presence_id = event.new, event.id
    if event.new == "offline" or (hears(entry) and event.channel_id == event.previous_channel_id):
        return (row if known(row) else None), ()
    outputs: tuple[Output, ...] = ()
    for shadow in (None, *row.named):
        outputs += told(row, shadow, at, len(outputs))
    return row, outputs


def _met(event_id: str, newest: str) -> bool:
    """Tell whether a transition was met before: after a crash presence repeats some, from one before the newest on."""
    one, other = _CAUSE.match(event_id), _CAUSE.match(newest)
    if one is None or other is None or one["inbox"] != other["inbox"]:
        return event_id == newest
    return int(one["offset"]) <= int(other["offset"])


def known(entry: Entry) -> bool:
    """Tell whether anything would be lost with a row."""
    return bool(
        entry.registered
        or entry.gone_at is not None
        or entry.session in {"online", "unknown"}
        or entry.speech is not None
        or entry.classic is not None
        or entry.named
        or entry.status is not None
    )


def hears(entry: Entry) -> bool:
    """Tell whether a device may hear what is said: where presence never told, once it has spoken."""
    return entry.session != "offline" and (entry.session is not None or entry.speech is not None)


def told(entry: Entry, shadow: str | None, at: At, n: int) -> tuple[Output, ...]:
    """Tell a device what is desired and not reported, if it can hear. ``n``: of the first output, for `At.id`."""
    document = entry.document(shadow)
    if document is None or not document.delta or not hears(entry):
        return ()
    return mouth.changed(at, entry.speech, shadow, document, n=n)
