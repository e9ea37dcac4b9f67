"""``registry.events``, ``registry.devices`` and ``registry.products``: who may speak at all."""

from __future__ import annotations

from typing import Any, Literal

from .base import DeviceEvent, Message, Millis


class DeviceRegistered(DeviceEvent, frozen=True, tag="device_registered"):
    """A device exists now."""

    origin: Literal["application", "bulk", "first_contact"]
    tags: tuple[str, ...]
    tags_version: int
    attributes: dict[str, Any]
    by: str
    at: Millis


class DeviceDeleted(DeviceEvent, frozen=True, tag="device_deleted"):
    """A device exists no more; what other services hold about it goes too."""

    by: str
    at: Millis


class DeviceEnabled(DeviceEvent, frozen=True, tag="device_enabled"):
    """A disabled device is let in again."""

    by: str
    at: Millis


class DeviceDisabled(DeviceEvent, frozen=True, tag="device_disabled"):
    """A device's credentials are refused from now on."""

    by: str
    at: Millis


class SecretRotated(DeviceEvent, frozen=True, tag="secret_rotated"):
    """A device has a new secret; the old one is refused."""

    by: str
    at: Millis


class TagsChanged(DeviceEvent, frozen=True, tag="tags_changed"):
    """A device's tags were set; each time raises ``tags_version`` by one."""

    tags: tuple[str, ...]
    tags_version: int
    by: str
    at: Millis


class AttributesChanged(DeviceEvent, frozen=True, tag="attributes_changed"):
    """A device's free attributes were set."""

    attributes: dict[str, Any]
    by: str
    at: Millis


class ProductChanged(Message, frozen=True, tag="product_changed"):
    """A product was created or its defaults changed."""

    id: str
    product_id: str
    version: int
    shadow_template: dict[str, Any] | None
    command_ttl: int | None
    """In ms; None: the hub's default."""
    dynamic_registration: bool
    by: str
    at: Millis


class ProductDeleted(Message, frozen=True, tag="product_deleted"):
    """A product exists no more."""

    id: str
    product_id: str
    by: str
    at: Millis


class DeviceDocument(Message, frozen=True, tag="device_document"):
    """``registry.devices``: all that is registered about one device."""

    product_id: str
    device_id: str
    enabled: bool
    secret_hash: str
    tags: tuple[str, ...]
    tags_version: int
    attributes: dict[str, Any]
    created_at: Millis
    updated_at: Millis


class ProductDocument(Message, frozen=True, tag="product_document"):
    """``registry.products``: one product with its defaults."""

    product_id: str
    version: int
    shadow_template: dict[str, Any] | None
    command_ttl: int | None
    """In ms; None: the hub's default."""
    dynamic_registration: bool
    secret_hash: str | None
    created_at: Millis
    updated_at: Millis
