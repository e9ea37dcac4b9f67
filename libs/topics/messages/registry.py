"""``registry.inbox``: what is asked of the registry."""

from __future__ import annotations

from typing import Any

from .base import DeviceRequest, Message, Millis, Request


class RegisterDevice(DeviceRequest, frozen=True, tag="register_device"):
    """Let a device exist. Its secret is made and shown by the asking side; only the hash enters Kafka."""

    secret_hash: str
    """Salted, with its parameters: ``$7$...`` as mosquitto writes it."""
    tags: tuple[str, ...]
    attributes: dict[str, Any]


class DeleteDevice(DeviceRequest, frozen=True, tag="delete_device"):
    """Forget a device; a live session is cut."""


class EnableDevice(DeviceRequest, frozen=True, tag="enable_device"):
    """Let a disabled device in again."""


class DisableDevice(DeviceRequest, frozen=True, tag="disable_device"):
    """Refuse a device's credentials; a live session is cut within a second."""


class RotateSecret(DeviceRequest, frozen=True, tag="rotate_secret"):
    """Replace a device's secret."""

    secret_hash: str


class SetTags(DeviceRequest, frozen=True, tag="set_tags"):
    """Replace the tags of a device."""

    tags: tuple[str, ...]
    expected_version: int | None
    """Of the tags; refused with ``version_conflict`` where it is another one. None: unconditional."""


class SetAttributes(DeviceRequest, frozen=True, tag="set_attributes"):
    """Replace the free attributes of a device."""

    attributes: dict[str, Any]


class PutProduct(Request, frozen=True, tag="put_product"):
    """Create a product or replace its defaults."""

    product_id: str
    shadow_template: dict[str, Any] | None
    """The initial shadow document of its devices: ``desired`` and ``reported``."""
    command_ttl: int | None
    """How long commands wait for an offline device, in ms; None: the hub's default."""
    dynamic_registration: bool
    """Devices may register themselves with the product secret."""
    secret_hash: str | None
    """Of the product secret; None without dynamic registration."""


class DeleteProduct(Request, frozen=True, tag="delete_product"):
    """Forget a product; refused while it has devices."""

    product_id: str


class CredentialsRequested(Message, frozen=True, tag="credentials_requested"):
    """First contact: a device proves that it knows its product's secret and asks for credentials of its own."""

    product_id: str
    device_id: str
    message_id: str
    packet_id: int
    proof: str
    """HMAC-SHA256 of ``product/device/message_id`` under the product secret, in hex."""
    received_at: Millis
