"""``registry.events`` and the documents that follow from them: who may speak at all."""

from __future__ import annotations

from typing import Any

import msgspec

from .base import DeviceEvent, Message, Millis
from .registry import Origin, ProductDefaults, Scope


class DeviceRegistered(DeviceEvent, frozen=True, tag="device_registered"):
    """A device exists now."""

    version: int
    """Of the device's document; in every event of a device the one that it leads to. The first one is no 1: it is
    greater than any that a device of this name had before it was deleted."""
    origin: Origin
    credential_id: str
    tags: tuple[str, ...]
    tags_version: int
    """It begins with the document's version: a device that keeps its tags takes only newer ones."""
    attributes: dict[str, Any]
    by: str
    at: Millis


class DeviceDeleted(DeviceEvent, frozen=True, tag="device_deleted"):
    """A device exists no more; what other services hold about it goes too."""

    version: int
    by: str
    at: Millis


class DeviceEnabled(DeviceEvent, frozen=True, tag="device_enabled"):
    """A disabled device is let in again."""

    version: int
    by: str
    at: Millis


class DeviceDisabled(DeviceEvent, frozen=True, tag="device_disabled"):
    """A device's credentials are refused from now on."""

    version: int
    by: str
    at: Millis


class SecretRotated(DeviceEvent, frozen=True, tag="secret_rotated"):
    """A device has a new secret."""

    version: int
    credential_id: str
    old_valid_until: Millis | None
    """How long the old one is valid besides; None: it is refused from now on."""
    by: str
    at: Millis


class OldSecretExpired(DeviceEvent, frozen=True, tag="old_secret_expired"):
    """The grace of a rotated secret is over: the old one is refused from now on."""

    version: int
    at: Millis


class TagsChanged(DeviceEvent, frozen=True, tag="tags_changed"):
    """A device's tags changed; each time raises ``tags_version`` by one."""

    version: int
    tags: tuple[str, ...]
    """All of them, in order of the alphabet."""
    tags_version: int
    by: str
    at: Millis


class AttributesChanged(DeviceEvent, frozen=True, tag="attributes_changed"):
    """A device's free attributes were set."""

    version: int
    attributes: dict[str, Any]
    by: str
    at: Millis


class ProductChanged(Message, frozen=True, tag="product_changed"):
    """A product was created or changed. A broadcast in inboxes, so that every partition knows of it."""

    id: str
    product_id: str
    version: int
    defaults: ProductDefaults
    by: str
    at: Millis


class ProductClosing(Message, frozen=True, tag="product_closing"):
    """``registry.inbox``: a product is about to be deleted; nothing registers meanwhile. A broadcast."""

    product_id: str
    version: int
    at: Millis


class ProductDeleted(Message, frozen=True, tag="product_deleted"):
    """A product exists no more. A broadcast in inboxes."""

    id: str
    product_id: str
    version: int
    by: str
    at: Millis


class ApiKeyIssued(Message, frozen=True, tag="api_key_issued"):
    """An application is let in."""

    id: str
    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    products: tuple[str, ...] | None
    expires_at: Millis | None
    by: str
    at: Millis


class ApiKeyRevoked(Message, frozen=True, tag="api_key_revoked"):
    """An application is let in no more."""

    id: str
    key_id: str
    by: str
    at: Millis


class OldSecret(msgspec.Struct, frozen=True, gc=False):
    """The secret before the current one, during its grace."""

    hash: str
    valid_until: Millis


class DeviceDocument(Message, frozen=True, tag="device_document"):
    """``registry.devices``: all that is registered about one device."""

    product_id: str
    device_id: str
    version: int
    """Raised by one with every change of this document."""
    enabled: bool
    credential_id: str
    secret_hash: str
    old_secret: OldSecret | None
    tags: tuple[str, ...]
    """In order of the alphabet."""
    tags_version: int
    attributes: dict[str, Any]
    origin: Origin
    created_at: Millis
    updated_at: Millis


class ProductDocument(Message, frozen=True, tag="product_document"):
    """``registry.products``: one product with its defaults."""

    product_id: str
    version: int
    defaults: ProductDefaults
    credential_id: str | None
    """Of the product's secret; None: it has none."""
    secret_hash: str | None
    created_at: Millis
    updated_at: Millis


class ApiKeyDocument(Message, frozen=True, tag="api_key_document"):
    """``registry.api-keys``: an application that is let in, and as what."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    products: tuple[str, ...] | None
    """The products that it may know of; None: all."""
    hash: str
    created_at: Millis
    expires_at: Millis | None
