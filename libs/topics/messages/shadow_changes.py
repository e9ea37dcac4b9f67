"""Changes of shadows: as applications ask for them, as ``shadow.events`` tells them, and the document they make."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .base import DeviceEvent, DeviceRequest, Message, Millis


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


class ShadowChanged(DeviceEvent, frozen=True, tag="shadow_changed"):
    """One accepted change; ``version`` is one more than before."""

    shadow: str | None
    cause: Literal[
        "desired_changed", "reported", "acknowledged", "desired_cleared", "keys_deleted", "deleted", "created"
    ]
    by: str
    """``device``, ``template``, or the name of the API key."""
    desired: dict[str, Any] | None
    """Merge patch that was applied to desired, ``null`` deletes a key; None: untouched."""
    reported: dict[str, Any] | None
    """Merge patch that was applied to reported."""
    cleared: tuple[Literal["desired", "reported"], ...]
    """Sections that were emptied before the patches were applied."""
    version: int
    desired_version: int
    reported_version: int
    delta: dict[str, Any] | None
    """Desired minus reported after the change; None where they agree."""
    at: Millis


class ShadowConverged(DeviceEvent, frozen=True, tag="shadow_converged"):
    """A field is reported as it was desired."""

    shadow: str | None
    path: str
    """Keys joined by dots."""
    desired_at: Millis
    version: int
    at: Millis


class ShadowSections(msgspec.Struct, frozen=True, omit_defaults=True):
    """The two halves of a shadow; an absent one is empty."""

    desired: dict[str, Any] = {}
    reported: dict[str, Any] = {}


class ShadowDocument(Message, frozen=True, tag="shadow_document"):
    """``shadow.documents``: one shadow as it is now."""

    product_id: str
    device_id: str
    shadow: str | None
    state: ShadowSections
    metadata: ShadowSections
    """The same tree with ``{"timestamp": ms}`` in place of each leaf."""
    version: int
    desired_version: int
    reported_version: int
    updated_at: Millis
