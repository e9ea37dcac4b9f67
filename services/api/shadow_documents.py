"""What calls about shadows answer with. Bodies of changes are bare JSON objects: merge patches, and what is desired."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.topics.messages.base import Millis
from libs.topics.messages.shadow_changes import FieldConverged, Section, ShadowSections, Via


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What a device should be and what it says that it is."""

    product_id: str
    device_id: str
    shadow: Annotated[str | None, Meta(description="Name of a named shadow; null: the device's own.")]
    state: ShadowSections
    metadata: Annotated[
        ShadowSections,
        Meta(description="The same tree with `{timestamp}` in place of each field: when it was set. An array is one."),
    ]
    delta: Annotated[dict[str, Any], Meta(description="Desired minus reported; empty where they agree.")]
    pending_since: Annotated[
        Millis | None, Meta(description="When the oldest of the fields in which they differ began to.")
    ]
    version: int
    desired_version: Annotated[int, Meta(description="The version at which desired was changed last; 0: never.")]
    reported_version: int
    created_at: Millis
    updated_at: Millis


class ShadowVersions(msgspec.Struct, frozen=True):
    """How far a shadow is, without its content."""

    version: int
    desired_version: int
    reported_version: int
    converged: Annotated[bool, Meta(description="Desired and reported agree.")]


class Status(msgspec.Struct, frozen=True):
    """The status that a device reported last."""

    status: dict[str, Any]
    message_id: Annotated[str, Meta(description="As the device named its report.")]
    reported_at: Millis


class DeviceShadows(msgspec.Struct, frozen=True):
    """What a device's own page shows of its shadows and status."""

    status: Status | None
    shadow: ShadowVersions
    named: dict[str, ShadowVersions]


class ShadowChange(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="shadow_changed"):
    """A change that was made. What it was applied to is the version before it."""

    id: str
    cause: Literal[
        "desired_changed", "reported", "acknowledged", "desired_cleared", "keys_deleted", "deleted", "created"
    ]
    via: Via
    by: Annotated[str, Meta(description="`device`, `template`, `registry`, or the name of an API key.")]
    desired: Annotated[dict[str, Any] | None, Meta(description="Merge patch of desired; null: untouched.")]
    reported: Annotated[dict[str, Any] | None, Meta(description="Merge patch of reported; null: untouched.")]
    cleared: Annotated[tuple[Section, ...], Meta(description="Emptied before the patches were applied.")]
    version_before: int
    version: int
    delta: Annotated[dict[str, Any] | None, Meta(description="After it; null where desired and reported agree.")]
    converged: Annotated[tuple[FieldConverged, ...], Meta(description="Fields that became as they were desired.")]
    pending_since: Annotated[
        Millis | None, Meta(description="When the oldest of the fields in `delta` began to differ.")
    ] = None
    created_at: Annotated[Millis, Meta(description="Of the document; one that begins anew has another.")]
    patch_id: Annotated[str | None, Meta(description="Of the patch by tag that it is due to.")]
    at: Millis


class ShadowRefusal(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="shadow_change_refused"):
    """A change that was asked for and not made."""

    id: str
    via: Via
    by: str
    code: str
    detail: str
    given_version: Annotated[int | None, Meta(description="That the asking side expected.")]
    version: Annotated[int, Meta(description="Of the document, which stayed as it was.")]
    patch_id: str | None
    at: Millis


class FieldChange(msgspec.Struct, frozen=True):
    """One field that differs. A side that has no such field is left out."""

    path: Annotated[str, Meta(description="JSON Pointer into the section; an array is one field.")]
    old: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET


class ShadowDiff(msgspec.Struct, frozen=True, rename={"from_version": "from", "to_version": "to"}):
    """What differs between two versions of a shadow."""

    from_version: int
    to_version: int
    desired: list[FieldChange]
    reported: list[FieldChange]


class TaggedPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a patch by tag, summed over the partitions that have answered."""

    patch_id: str
    matched: Annotated[int, Meta(description="Devices that carried the tag.")]
    changed: int
    refused: Annotated[int, Meta(description="Their shadows are as before; the history of each says why.")]
    partitions: Annotated[int, Meta(description="Partitions of the hub that have answered.")]
    missing_partitions: Annotated[
        list[int], Meta(description="They did not answer in time; their devices are changed later, or have been.")
    ] = []


class TaggedPatchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a patch by tag has come, as far as it is stored."""

    patch_id: str
    tag: str
    shadow: str | None
    by: Annotated[str, Meta(description="Name of the API key.")]
    at: Annotated[Millis, Meta(description="When the last partition answered.")]
    partitions: Annotated[int, Meta(description="Partitions that have answered.")]
    matched: int
    changed: int
    refused: int
    converged: Annotated[
        int, Meta(description="Of those changed: devices that have since reported each field as the patch set it.")
    ]
