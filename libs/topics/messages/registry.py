"""``registry.inbox``: what is asked of the registry."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from .base import DeviceRequest, Message, Millis, Request

Origin: TypeAlias = Literal["application", "bulk", "first_contact"]
Scope: TypeAlias = Literal["read", "command", "admin"]


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A secret that was made and shown by the asking side: only its hash enters Kafka."""

    id: str
    """Names this secret among all of its owner. The same request, repeated, makes the same secret under the same id."""
    hash: str
    """Salted, with its parameters: ``$7$...`` as mosquitto writes it."""


class AclRule(msgspec.Struct, frozen=True, gc=False):
    """What devices of a product may do besides the device protocol."""

    action: Literal["publish", "subscribe"]
    topic: str
    """A topic filter in which ``{product}`` and ``{device}`` stand for the device's own ids."""


class ProductDefaults(msgspec.Struct, frozen=True):
    """What a product says about its devices."""

    shadow_template: dict[str, Any] | None = None
    """The initial shadow document of its devices: ``desired`` and ``reported``."""
    command_ttl: int | None = None
    """How long commands wait for an offline device, in ms; None: the hub's default."""
    acl: tuple[AclRule, ...] = ()
    """Extra access rules."""
    device_to_device: bool = False
    """Its devices may send messages to each other (``m2m/...``)."""
    dynamic_registration: bool = False
    """Devices may register themselves with the product's secret."""
    probe_interval: int | None = None
    """How often each of its devices is asked whether it answers, in ms; None: when somebody wants to know."""


class RegisterDevice(DeviceRequest, frozen=True, tag="register_device"):
    """Let a device exist. Repeated with the same credential, while that is still the device's, it is answered alike."""

    origin: Origin
    credential: Credential
    tags: tuple[str, ...]
    attributes: dict[str, Any]


class DeleteDevice(DeviceRequest, frozen=True, tag="delete_device"):
    """Forget a device: its credentials, sessions, presence, shadow and queue; the history stays."""

    expected_version: int | None
    """Of the device's document; refused with ``version_conflict`` where it is another one. None: unconditional."""


class EnableDevice(DeviceRequest, frozen=True, tag="enable_device"):
    """Let a disabled device in again."""

    expected_version: int | None


class DisableDevice(DeviceRequest, frozen=True, tag="disable_device"):
    """Refuse a device's credentials; a live session is cut within a second."""

    expected_version: int | None


class RotateSecret(DeviceRequest, frozen=True, tag="rotate_secret"):
    """Replace a device's secret."""

    credential: Credential
    grace: int
    """How long the old secret is valid besides, in ms; 0: not at all."""
    expected_version: int | None


class SetTags(DeviceRequest, frozen=True, tag="set_tags"):
    """Replace the tags of a device."""

    tags: tuple[str, ...]
    expected_version: int | None
    """Of the tags; refused with ``version_conflict`` where it is another one. None: unconditional."""


class AddTags(DeviceRequest, frozen=True, tag="add_tags"):
    """Add tags to a device; those it has already change nothing."""

    tags: tuple[str, ...]
    expected_version: int | None
    """Of the tags."""


class RemoveTags(DeviceRequest, frozen=True, tag="remove_tags"):
    """Take tags from a device; those it has not change nothing."""

    tags: tuple[str, ...]
    expected_version: int | None
    """Of the tags."""


class SetAttributes(DeviceRequest, frozen=True, tag="set_attributes"):
    """Replace the free attributes of a device."""

    attributes: dict[str, Any]
    expected_version: int | None
    """Of the device's document."""


class PutProduct(Request, frozen=True, tag="put_product"):
    """Create a product or replace its defaults. Answered when every partition of the registry has taken it."""

    product_id: str
    defaults: ProductDefaults
    credential: Credential | None
    """A new product secret; None: it stays as it is."""
    expected_version: int | None
    """Of the product's document, 0: it must not exist yet. None: unconditional."""


class DeleteProduct(Request, frozen=True, tag="delete_product"):
    """Forget a product; refused with ``product_has_devices`` while it has some."""

    product_id: str
    expected_version: int | None


class ProductTaken(Message, frozen=True, tag="product_taken"):
    """A partition of the registry has taken a version of a product: what it decides from now on knows of it."""

    product_id: str
    version: int
    partition: int
    devices: int
    """Of the product in that partition; counted only where the product is closing, else 0."""


class IssueApiKey(Request, frozen=True, tag="issue_api_key"):
    """Let an application in."""

    key_id: str
    name: str
    """For people and for ``by`` in events."""
    scopes: tuple[Scope, ...]
    products: tuple[str, ...] | None
    """The products that it may know of; None: all."""
    hash: str
    """SHA-256 of the secret part, in hex. The secret is random and long: a salt would add nothing."""
    expires_at: Millis | None


class RevokeApiKey(Request, frozen=True, tag="revoke_api_key"):
    """Let an application in no more."""

    key_id: str
