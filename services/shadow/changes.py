"""A change of a shadow: what it makes of the document, and what the log and the compacted topic say of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, final

import msgspec

from libs.runtime.lane.model import Output, retract, send
from libs.shadow import document
from libs.shadow.document import CHECKPOINT, Document
from libs.shadow.trees import Tree
from libs.topics import catalog, names
from libs.topics.codec import encode
from libs.topics.messages.shadow_changes import Section, ShadowChanged, Via

from . import limits

if TYPE_CHECKING:
    from libs.runtime.lane.model import At
    from libs.runtime.lane.verdicts import Refused

    from .model import Entry

Cause: TypeAlias = Literal["desired_changed", "reported", "acknowledged", "desired_cleared", "keys_deleted", "created"]

BOTH: tuple[Section, ...] = ("desired", "reported")


class Wish(msgspec.Struct, frozen=True, gc=False):
    """A change that somebody wants, whatever the document is."""

    shadow: str | None
    cause: Cause
    via: Via
    by: str
    desired: Tree | None = None
    """Merge patches; None: untouched."""
    reported: Tree | None = None
    cleared: tuple[Section, ...] = ()
    """Emptied before the patches are applied."""
    patch_id: str | None = None


@final
class Changed(msgspec.Struct, frozen=True, gc=False):
    """An accepted change."""

    event: ShadowChanged
    after: Document | None
    """None: the shadow was deleted."""
    outputs: tuple[Output, ...]
    """The event, and the document."""
    document: bytes
    """The `ShadowDocument` as it was sent; empty where it was deleted."""


def current(entry: Entry, shadow: str | None, now: int) -> Document:
    """Return a shadow; where there is none, an empty one with the version that the next goes on from."""
    return entry.document(shadow) or document.empty(now, entry.floor)


def make(entry: Entry, wish: Wish, at: At) -> Changed | Refused:
    """Change a shadow, or say which limit forbids it."""
    shadow, now, desired, reported = wish.shadow, at.timestamp, wish.desired, wish.reported
    known = entry.document(shadow)
    if refused := limits.too_deep(desired) or limits.too_deep(reported):
        return refused
    if known is None and (refused := limits.too_many(entry, shadow)):
        return refused
    before = document.empty(now, entry.floor) if known is None else known
    after, converged = document.change(before, now, desired=desired, reported=reported, cleared=wish.cleared)
    product_id, _, device_id = at.key.decode().partition("/")
    public = document.public(product_id, device_id, shadow, after)
    event = ShadowChanged(
        at.id(),
        product_id,
        device_id,
        shadow,
        wish.cause,
        wish.via,
        wish.by,
        desired,
        reported,
        wish.cleared,
        before.version,
        after.version,
        after.desired_version,
        after.reported_version,
        after.delta or None,
        converged,
        after.created_at,
        document.checkpoint(before) if known is None or after.version % CHECKPOINT == 0 else None,
        wish.patch_id,
        now,
        public.pending_since,
    )
    said = catalog.publish(names.SHADOW_EVENTS, at.key, event)
    shown = encode(public)
    if refused := limits.too_large(entry, shadow, after, said[0][2], shown):
        return refused
    return Changed(event, after, (*said, send(names.SHADOW_DOCUMENTS, _key(at, shadow), shown)), shown)


def delete(entry: Entry, shadow: str | None, at: At, via: Via, by: str, *, n: int = 0) -> Changed:
    """Delete a shadow that there is. ``n``: of the event, for `At.id`."""
    before = current(entry, shadow, at.timestamp)
    version = before.version + 1
    product_id, _, device_id = at.key.decode().partition("/")
    event = ShadowChanged(
        id=at.id(n),
        product_id=product_id,
        device_id=device_id,
        shadow=shadow,
        cause="deleted",
        via=via,
        by=by,
        desired=None,
        reported=None,
        cleared=BOTH,
        version_before=before.version,
        version=version,
        desired_version=version,
        reported_version=version,
        delta=None,
        converged=(),
        created_at=before.created_at,
        checkpoint=document.checkpoint(before) if version % CHECKPOINT == 0 else None,
        patch_id=None,
        at=at.timestamp,
    )
    said = catalog.publish(names.SHADOW_EVENTS, at.key, event)
    return Changed(event, None, (*said, retract(names.SHADOW_DOCUMENTS, _key(at, shadow))), b"")


def _key(at: At, shadow: str | None) -> bytes:
    return at.key if shadow is None else at.key + b"/" + shadow.encode()
