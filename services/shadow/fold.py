"""A row after an event of ``shadow.events``. Pure: replaying the public log through it rebuilds shadows and status."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.shadow import document
from libs.topics.messages.shadow_changes import ShadowChanged, ShadowChangeRefused, StatusChanged

from .model import Entry, Status

if TYPE_CHECKING:
    from libs.shadow.document import Document

REGISTRY: Final = "registry"
"""The way by which a deletion of the whole device is asked for."""

Event: TypeAlias = ShadowChanged | ShadowChangeRefused | StatusChanged


def fold(entry: Entry, event: Event) -> Entry:
    """Fold one event. One that is met again changes nothing, nor does a refusal.

    Of events from before a deletion `libs.shadow.document.fold` says what is to be skipped.
    Raises `libs.shadow.document.Unfounded`.
    """
    match event:
        case ShadowChanged():
            before = entry.document(event.shadow)
            after = document.fold(before, event)
            if after is before:
                return entry
            row = settle(entry, event, after)
            if before is None:  # it says what it builds on, also where a life ended without a shadow, and so unsaid
                row.floor = event.version_before
            return row
        case StatusChanged():
            return report(entry, Status(event.status, event.message_id, event.at))
        case ShadowChangeRefused():
            return entry


def settle(entry: Entry, event: ShadowChanged, after: Document | None) -> Entry:
    """Put in the place of a shadow what an event made of it."""
    row = copy(entry)
    shadow = event.shadow
    if shadow is None:
        row.classic = after
    elif after is None:
        row.named = {name: one for name, one in entry.named.items() if name != shadow}
    else:
        row.named = {**entry.named, shadow: after}
    if after is None:
        row.floor = 0 if event.via == REGISTRY else max(entry.floor, event.version)  # the next life begins at 1
    return row


def report(entry: Entry, status: Status) -> Entry:
    """Put in the place of a status the newest one."""
    row = copy(entry)
    row.status = status
    return row
