"""What the registry shows of its rows: bodies of its answers and of the reads of its owners. No topic holds them."""

from __future__ import annotations

from typing import Any

import msgspec

from .base import Millis
from .registry import AclRule, Origin, ProductDefaults, Scope
from .registry_events import OldSecret


class DeviceView(msgspec.Struct, frozen=True):
    """View ``device``: a device's document without the hashes of its secrets."""

    product_id: str
    device_id: str
    version: int
    enabled: bool
    credential_id: str
    old_secret_valid_until: Millis | None
    """None: only the newest secret is valid."""
    tags: tuple[str, ...]
    tags_version: int
    attributes: dict[str, Any]
    origin: Origin
    created_at: Millis
    updated_at: Millis


class TagsView(msgspec.Struct, frozen=True):
    """What requests about tags are answered with; their version is ``tags_version``."""

    tags: tuple[str, ...]
    tags_version: int


class CredentialsView(msgspec.Struct, frozen=True):
    """View ``credentials``, for the hub's own services: all that says whether a device may come in and what it may."""

    version: int
    enabled: bool
    credential_id: str
    secret_hash: str
    old_secret: OldSecret | None
    tags: tuple[str, ...]
    acl: tuple[AclRule, ...]
    device_to_device: bool


class ProductView(msgspec.Struct, frozen=True):
    """A product's document without the hash of its secret."""

    product_id: str
    version: int
    defaults: ProductDefaults
    credential_id: str | None
    """None: it has no secret."""
    created_at: Millis
    updated_at: Millis


class ApiKeyView(msgspec.Struct, frozen=True):
    """An API key's document without its hash."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    products: tuple[str, ...] | None
    created_at: Millis
    expires_at: Millis | None
