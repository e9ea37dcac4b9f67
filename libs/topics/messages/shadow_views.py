"""What the owner of a device's shadows answers to reads."""

from __future__ import annotations

from typing import Any

import msgspec

from .base import Millis
from .shadow_changes import ShadowDocument


class NamedShadows(msgspec.Struct, frozen=True):
    """All named shadows of a device."""

    shadows: dict[str, ShadowDocument]


class StoredShadows(msgspec.Struct, frozen=True):
    """All shadows that there are of a device, its own among them; also where it is not registered."""

    documents: tuple[ShadowDocument, ...]


class StatusView(msgspec.Struct, frozen=True):
    """The last status that a device reported."""

    status: dict[str, Any]
    message_id: str
    reported_at: Millis


class ShadowVersions(msgspec.Struct, frozen=True):
    """How far a shadow is, without its content."""

    version: int
    desired_version: int
    reported_version: int
    converged: bool


class DeviceShadows(msgspec.Struct, frozen=True):
    """What a device's own page shows of its shadows and status."""

    status: StatusView | None
    """None: it never reported one."""
    shadow: ShadowVersions
    named: dict[str, ShadowVersions]
