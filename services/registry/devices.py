"""The rules about devices. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.runtime.lane.verdicts import Refused, unknown_device
from libs.topics.messages.registry_events import (
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceEnabled,
    DeviceRegistered,
    OldSecretExpired,
    SecretRotated,
    TagsChanged,
)

from .checks import same, too_many_tags
from .documents import device_view, tags_view
from .verdicts import conflict, product_closing, unknown_product

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.runtime.lane.model import At
    from libs.topics.messages.base import DeviceRequest
    from libs.topics.messages.registry import (
        AddTags,
        DeleteDevice,
        DisableDevice,
        EnableDevice,
        RegisterDevice,
        RemoveTags,
        RotateSecret,
        SetAttributes,
        SetTags,
    )

    from .fold import DeviceEvent
    from .model import Device, Entry, Reference

Decided: TypeAlias = "tuple[DeviceEvent, ...] | Refused"


def register(row: Entry | None, message: RegisterDevice, at: At, shared: Reference) -> Decided:
    device = None if row is None else row.device
    if device is not None:
        return () if device.credential_id == message.credential.id else _exists(message, device)
    product = shared.cells.get(message.product_id)
    if product is None or product.state == "deleted":
        return unknown_product(message.product_id)
    if product.state == "closing":
        return product_closing(message.product_id)
    if message.origin == "first_contact" and not product.dynamic_registration:
        detail = f"devices of {message.product_id} do not register themselves"
        return Refused(403, "dynamic_registration_off", detail, "Register the device with an API key.")
    version = at.offset + 1
    registered = DeviceRegistered(
        id=at.id(),
        product_id=message.product_id,
        device_id=message.device_id,
        version=version,
        origin=message.origin,
        credential_id=message.credential.id,
        tags=_in_order(message.tags),
        tags_version=version,
        attributes=message.attributes,
        by=message.requested_by,
        at=at.timestamp,
    )
    return (registered,)


def _exists(message: RegisterDevice, device: Device) -> Refused:
    detail = f"device {message.product_id}/{message.device_id} is registered already"
    advice = "Rotate its secret where it is lost, or choose another device id."
    return Refused(409, "device_exists", detail, advice, device_view(message.device_id, device))


def delete(row: Entry | None, message: DeleteDevice, at: At, _: Reference) -> Decided:
    device = _versioned(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    return (DeviceDeleted(at.id(), *_ids(message), device.version + 1, message.requested_by, at.timestamp),)


def enable(row: Entry | None, message: EnableDevice, at: At, _: Reference) -> Decided:
    device = _versioned(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    if device.enabled:
        return ()
    return (DeviceEnabled(at.id(), *_ids(message), device.version + 1, message.requested_by, at.timestamp),)


def disable(row: Entry | None, message: DisableDevice, at: At, _: Reference) -> Decided:
    device = _versioned(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    if not device.enabled:
        return ()
    return (DeviceDisabled(at.id(), *_ids(message), device.version + 1, message.requested_by, at.timestamp),)


def rotate(row: Entry | None, message: RotateSecret, at: At, _: Reference) -> Decided:
    known = None if row is None else row.device
    if known is not None and known.credential_id == message.credential.id:
        return ()  # done before; the version that was expected has gone since by this very request
    device = _versioned(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    rotated = SecretRotated(
        id=at.id(),
        product_id=message.product_id,
        device_id=message.device_id,
        version=device.version + 1,
        credential_id=message.credential.id,
        old_valid_until=at.timestamp + message.grace if message.grace else None,
        by=message.requested_by,
        at=at.timestamp,
    )
    return (rotated,)


def expire(device: Device, device_id: str, at: At, now: int) -> tuple[DeviceEvent, ...]:
    """Say what a tick at ``now`` ends: the grace of an old secret."""
    if device.old_secret is None or device.old_secret.valid_until > now:
        return ()
    return (OldSecretExpired(at.id(), device.product_id, device_id, device.version + 1, now),)


def set_tags(row: Entry | None, message: SetTags, at: At, _: Reference) -> Decided:
    device = _tagged(row, message, message.expected_version)
    return device if isinstance(device, Refused) else _tags(device, message.tags, message, at)


def add_tags(row: Entry | None, message: AddTags, at: At, _: Reference) -> Decided:
    device = _tagged(row, message, message.expected_version)
    return device if isinstance(device, Refused) else _tags(device, (*device.tags, *message.tags), message, at)


def remove_tags(row: Entry | None, message: RemoveTags, at: At, _: Reference) -> Decided:
    device = _tagged(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    return _tags(device, [tag for tag in device.tags if tag not in message.tags], message, at)


def _tags(device: Device, tags: Iterable[str], message: SetTags | AddTags | RemoveTags, at: At) -> Decided:
    new = _in_order(tags)
    if new == device.tags:
        return ()
    if refused := too_many_tags(len(new)):
        return refused
    changed = TagsChanged(
        id=at.id(),
        product_id=message.product_id,
        device_id=message.device_id,
        version=device.version + 1,
        tags=new,
        tags_version=device.tags_version + 1,
        by=message.requested_by,
        at=at.timestamp,
    )
    return (changed,)


def set_attributes(row: Entry | None, message: SetAttributes, at: At, _: Reference) -> Decided:
    device = _versioned(row, message, message.expected_version)
    if isinstance(device, Refused):
        return device
    if same(device.attributes, message.attributes):
        return ()
    changed = AttributesChanged(
        at.id(), *_ids(message), device.version + 1, message.attributes, message.requested_by, at.timestamp
    )
    return (changed,)


def _ids(message: DeviceRequest) -> tuple[str, str]:
    return message.product_id, message.device_id


def _in_order(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


def _versioned(row: Entry | None, message: DeviceRequest, expected: int | None) -> Device | Refused:
    """Return the device if its document has the expected version."""
    device = None if row is None else row.device
    if device is None:
        return unknown_device(*_ids(message))
    if expected is not None and expected != device.version:
        view = device_view(message.device_id, device)
        return conflict(f"device {message.product_id}/{message.device_id}", view, device.version)
    return device


def _tagged(row: Entry | None, message: DeviceRequest, expected: int | None) -> Device | Refused:
    """Return the device if its tags have the expected version."""
    device = _versioned(row, message, None)
    if isinstance(device, Refused) or expected is None or expected == device.tags_version:
        return device
    whose = f"the tags of {message.product_id}/{message.device_id}"
    return conflict(whose, tags_view(device), device.tags_version)
