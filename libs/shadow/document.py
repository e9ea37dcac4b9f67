"""A shadow document, and what a change makes of it: the fold of ``shadow.events``. Pure.

The shadow service decides changes with these functions; whoever replays the public log gets the same documents.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.topics.messages.base import Millis
from libs.topics.messages.shadow_changes import (
    FieldConverged,
    FieldPending,
    ShadowCheckpoint,
    ShadowDocument,
    ShadowSections,
)

from . import trees
from .trees import Times, Tree

if TYPE_CHECKING:
    from libs.topics.messages.shadow_changes import Section, ShadowChanged

CHECKPOINT: Final = 32
"""Versions from one checkpoint in the log to the next."""


class Unfounded(ValueError):
    """The event builds on a document that is not at hand: the replay begins between two checkpoints, or has a gap."""

    code = "unfounded_event"


class Document(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One shadow. Nothing in it is ever changed in place."""

    version: int
    desired_version: int
    reported_version: int
    created_at: Millis
    updated_at: Millis
    desired: Tree
    reported: Tree
    desired_at: Times
    reported_at: Times
    delta: Tree
    """Desired minus reported."""
    pending: dict[str, FieldPending]
    """The fields of the delta, by JSON Pointer."""


def empty(at: Millis, version: int = 0) -> Document:
    """Return a document of which nothing was said yet. ``version``: that of the one before it, if any."""
    return Document(version, 0, 0, at, at, {}, {}, {}, {}, {}, {})


def change(
    before: Document, at: Millis, *, desired: Tree | None, reported: Tree | None, cleared: tuple[Section, ...] = ()
) -> tuple[Document, tuple[FieldConverged, ...]]:
    """Clear sections, apply merge patches, and tell which fields became as desired.

    ``desired``, ``reported``: None leaves the section as it is.
    """
    version = before.version + 1
    wanted, wanted_at, desired_version = before.desired, before.desired_at, before.desired_version
    actual, actual_at, reported_version = before.reported, before.reported_at, before.reported_version
    if "desired" in cleared:
        wanted, wanted_at, desired_version = {}, {}, version
    if "reported" in cleared:
        actual, actual_at, reported_version = {}, {}, version
    if desired is not None:
        (wanted, wanted_at), desired_version = trees.merge(wanted, wanted_at, desired, at), version
    if reported is not None:
        (actual, actual_at), reported_version = trees.merge(actual, actual_at, reported, at), version
    delta = trees.difference(wanted, actual)
    pending = _pending(before, delta, at) if delta else {}
    after = Document(
        version,
        desired_version,
        reported_version,
        before.created_at,
        at,
        wanted,
        actual,
        wanted_at,
        actual_at,
        delta,
        pending,
    )
    return after, _converged(before, after) if before.pending else ()


def _pending(before: Document, delta: Tree, at: Millis) -> dict[str, FieldPending]:
    """Take over what was pending of fields that are desired as before; the others are pending from now on."""
    found: dict[str, FieldPending] = {}
    fresh = before.pending, FieldPending(at, drifted=False), FieldPending(at, drifted=True)
    _gather(found, delta, before.desired, "", fresh)
    return found


def _gather(
    found: dict[str, FieldPending],
    delta: Tree,
    desired: Tree,
    path: str,
    fresh: tuple[dict[str, FieldPending], FieldPending, FieldPending],
) -> None:
    """``desired``: before the change; ``fresh``: what was pending, and what fields set now and drifted now get."""
    known, now, drifted = fresh
    for key, value in delta.items():
        pointer = f"{path}/{trees.token(key)}" if "~" in key or "/" in key else f"{path}/{key}"
        wanted = desired.get(key, trees.ABSENT)
        if value.__class__ is dict and value:
            _gather(found, value, wanted if wanted.__class__ is dict else {}, pointer, fresh)
        elif value is wanted or trees.same(value, wanted):
            found[pointer] = known.get(pointer, drifted)
        else:
            found[pointer] = now


def _converged(before: Document, after: Document) -> tuple[FieldConverged, ...]:
    """A field that is desired no more, or otherwise, has not converged, unless it is reported as it was desired."""
    wanted, actual, pending = before.desired, after.reported, after.pending
    if before.pending.keys() <= pending.keys():
        return ()
    return tuple(
        [
            FieldConverged(path, known.since, known.drifted)
            for path, known in before.pending.items()
            if path not in pending and trees.agrees(trees.find(wanted, path), trees.find(actual, path))
        ]
    )


def fold(before: Document | None, event: ShadowChanged) -> Document | None:
    """Fold one event of the shadow's log; None: the shadow was deleted. One that is met again changes nothing.

    After a crash several events may come again, also those of a document that was deleted since: who reads a log that
    goes on behind them skips what is at or before the last `position`.
    Raises `Unfounded` where the document that it changes is missing.
    """
    if before is not None and event.version <= before.version and event.created_at == before.created_at:
        return before
    if event.cause == "deleted":
        return None
    if before is None or before.version != event.version_before:
        if event.checkpoint is None:
            raise Unfounded(f"{event.id}: version {event.version} builds on {event.version_before}, which is missing")
        before = restored(event.checkpoint, event)
    return change(before, event.at, desired=event.desired, reported=event.reported, cleared=event.cleared)[0]


def position(event: ShadowChanged) -> int:
    """Return where its cause is in the inbox's partition: each event of a shadow is at a greater one than those before.

    One that is met again is at the same.
    """
    return int(event.id.split("-", 3)[2])


def checkpoint(document: Document) -> ShadowCheckpoint:
    """Write a document down for an event that changes it next."""
    return ShadowCheckpoint(
        state=ShadowSections(document.desired, document.reported),
        metadata=ShadowSections(document.desired_at, document.reported_at),
        pending=document.pending,
        desired_version=document.desired_version,
        reported_version=document.reported_version,
        updated_at=document.updated_at,
    )


def restored(known: ShadowCheckpoint, event: ShadowChanged) -> Document:
    """Return the document that a checkpoint wrote down."""
    return Document(
        version=event.version_before,
        desired_version=known.desired_version,
        reported_version=known.reported_version,
        created_at=event.created_at,
        updated_at=known.updated_at,
        desired=known.state.desired,
        reported=known.state.reported,
        desired_at=known.metadata.desired,
        reported_at=known.metadata.reported,
        delta=trees.difference(known.state.desired, known.state.reported),
        pending=known.pending,
    )


def public(product_id: str, device_id: str, shadow: str | None, document: Document) -> ShadowDocument:
    """Show a document as everybody sees it."""
    return ShadowDocument(
        product_id,
        device_id,
        shadow,
        ShadowSections(document.desired, document.reported),
        ShadowSections(_stamped(document.desired_at), _stamped(document.reported_at)),
        document.delta,
        pending_since(document),
        document.version,
        document.desired_version,
        document.reported_version,
        document.created_at,
        document.updated_at,
    )


def pending_since(document: Document) -> Millis | None:
    """Return when the oldest of the fields that are not reported as desired began to differ; None: they all are."""
    pending = document.pending
    return min([known.since for known in pending.values()]) if pending else None


def _stamped(times: Times) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in times.items():
        found[key] = _stamped(value) if value.__class__ is dict else {"timestamp": value}
    return found


_canonical: Final = msgspec.json.Encoder(order="sorted").encode


def digest(document: ShadowDocument) -> str:
    """SHA-256, in hex, of the document as JSON with sorted keys: alike wherever the document is read."""
    return hashlib.sha256(_canonical(document)).hexdigest()
