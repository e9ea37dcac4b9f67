"""Changes of shadows: as applications ask for them, as ``shadow.events`` tells them, and the document they make."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from .base import DeviceEvent, DeviceRequest, Message, Millis, Request

Via: TypeAlias = Literal["api", "tag", "native", "iothub", "aliyun", "template", "registry"]
"""How a change was asked for: over HTTP, of all devices of a tag, by a device in one of three dialects; or it is the
product's template, or the device was deleted."""

Section: TypeAlias = Literal["desired", "reported"]


class ChangeDesired(DeviceRequest, frozen=True, tag="change_desired"):
    """An application changes what a device should be."""

    shadow: str | None
    """Name of a named shadow; None for the device's own."""
    operation: Literal["merge", "replace", "clear", "delete"]
    """``delete`` removes the whole document; the others concern desired alone."""
    desired: dict[str, Any] | None
    """For merge and replace; in a merge ``null`` deletes a key."""
    expected_version: int | None
    """Of the document; refused with ``version_conflict`` where it is another one. None: unconditional."""


class PatchTagged(Request, frozen=True, tag="patch_tagged"):
    """An application merges into what all devices of a tag should be. A broadcast.

    Each partition answers for its own devices, once all of them were visited: a `TaggedPatchApplied`.
    """

    patch_id: str
    partition: int
    product_id: str
    tag: str
    shadow: str | None
    desired: dict[str, Any]


class FieldPending(msgspec.Struct, frozen=True, gc=False):
    """A field is not reported as it is desired."""

    since: Millis
    """When it began to differ, or to be desired so."""
    drifted: bool
    """A report began the difference, without a change of what is desired; else desired was set then."""


class FieldConverged(msgspec.Struct, frozen=True, gc=False):
    """A field is reported as it was desired."""

    path: str
    """JSON Pointer (RFC 6901) into desired; an array is one field."""
    since: Millis
    drifted: bool
    """Both as `FieldPending` had them."""


class ShadowSections(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The two halves of a shadow; an absent one is empty."""

    desired: dict[str, Any] = {}
    reported: dict[str, Any] = {}


class ShadowCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """All that a shadow was before an event, so that who replays the log need not begin with its first one."""

    state: ShadowSections
    metadata: ShadowSections
    """The same tree with the moment in place of each leaf at which it was set, in ms."""
    pending: dict[str, FieldPending]
    """The fields in which reported differs from desired, by JSON Pointer."""
    desired_version: int
    reported_version: int
    updated_at: Millis


class ShadowChanged(DeviceEvent, frozen=True, tag="shadow_changed"):
    """One accepted change; ``version`` is one more than before."""

    shadow: str | None
    cause: Literal[
        "desired_changed", "reported", "acknowledged", "desired_cleared", "keys_deleted", "deleted", "created"
    ]
    via: Via
    by: str
    """``device``, ``template``, ``registry``, or the name of the API key."""
    desired: dict[str, Any] | None
    """Merge patch that was applied to desired, ``null`` deletes a key; None: untouched."""
    reported: dict[str, Any] | None
    """Merge patch that was applied to reported."""
    cleared: tuple[Section, ...]
    """Sections that were emptied before the patches were applied."""
    version_before: int
    version: int
    desired_version: int
    """The version at which desired was changed last."""
    reported_version: int
    delta: dict[str, Any] | None
    """Desired minus reported after the change; None where they agree."""
    converged: tuple[FieldConverged, ...]
    """Fields that are reported as desired from now on, and were not before."""
    created_at: Millis
    """Of the document: a shadow that was deleted and begins anew has another one."""
    checkpoint: ShadowCheckpoint | None
    """In the first event of a document and in every 32nd version; None: fold what came before."""
    patch_id: str | None
    """Of the `PatchTagged` that it is due to."""
    at: Millis
    pending_since: Millis | None = None
    """When the oldest of the fields in which desired and reported differ after the change began to; None: they agree.
    As `ShadowDocument` has it."""


class ShadowChangeRefused(DeviceEvent, frozen=True, tag="shadow_change_refused"):
    """A change that was asked for and not made; the document is as before."""

    shadow: str | None
    via: Via
    by: str
    code: str
    """Stable, in snake_case, such as ``version_conflict`` or ``document_too_large``."""
    detail: str
    given_version: int | None
    """That the asking side named, if any."""
    version: int
    """Of the document."""
    patch_id: str | None
    at: Millis


class StatusChanged(DeviceEvent, frozen=True, tag="status_changed"):
    """A device reported another status than before."""

    status: dict[str, Any]
    """All of it."""
    message_id: str
    at: Millis


class TaggedPatchApplied(Message, frozen=True, tag="tagged_patch_applied"):
    """One partition has visited all its devices of a tag. The sum over all partitions is the patch's result."""

    id: str
    patch_id: str
    partition: int
    product_id: str
    tag: str
    shadow: str | None
    matched: int
    """Devices that carried the tag; each is counted below, too."""
    changed: int
    refused: int
    by: str
    at: Millis


class ShadowDocument(Message, frozen=True, tag="shadow_document"):
    """``shadow.documents``: one shadow as it is now."""

    product_id: str
    device_id: str
    shadow: str | None
    state: ShadowSections
    metadata: ShadowSections
    """The same tree with ``{"timestamp": ms}`` in place of each leaf: when it was set. An array is one leaf."""
    delta: dict[str, Any]
    """Desired minus reported; empty where they agree."""
    pending_since: Millis | None
    """When the oldest of the fields in which they differ began to; None: they agree."""
    version: int
    desired_version: int
    """The version at which desired was changed last."""
    reported_version: int
    created_at: Millis
    updated_at: Millis
