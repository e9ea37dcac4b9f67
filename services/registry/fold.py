"""The row after an event: one match over the registry's own public events. Pure.

The events are public and hold no hashes, so what a row keeps of a secret comes beside the event, from the request that
caused it. All else is in the events: the public log replayed through here is the row, but for the hashes and for what
only the lane itself needs (which requests were answered, which partition has taken what).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from libs.topics.messages.registry_events import (
    ApiKeyIssued,
    ApiKeyRevoked,
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceEnabled,
    DeviceRegistered,
    OldSecret,
    OldSecretExpired,
    ProductChanged,
    ProductDeleted,
    SecretRotated,
    TagsChanged,
)

from .model import ApiKey, Device, Entry, Product

if TYPE_CHECKING:
    from libs.topics.messages.registry import Credential

DeviceChange: TypeAlias = (
    DeviceEnabled | DeviceDisabled | SecretRotated | OldSecretExpired | TagsChanged | AttributesChanged
)
DeviceEvent: TypeAlias = DeviceRegistered | DeviceDeleted | DeviceChange
ProductEvent: TypeAlias = ProductChanged | ProductDeleted
KeyEvent: TypeAlias = ApiKeyIssued | ApiKeyRevoked
Event: TypeAlias = DeviceEvent | ProductEvent | KeyEvent

UNKNOWN = Entry()
"""Of what nothing was heard. Never stored: the fold replaces what it changes."""

NO_HASH = ""
"""Where the log alone is replayed."""


def fold(entry: Entry, event: Event, credential: Credential | None = None) -> Entry:
    """Fold an event of the row's own subject. ``credential``: the new secret, with the events that begin its use."""
    match event:
        case DeviceRegistered():
            return replace(entry, subject=_registered(event, credential))
        case ProductChanged():
            return replace(entry, subject=_product(entry.product, event, credential))
        case ApiKeyIssued():
            return replace(entry, subject=_key(event, credential))
        case DeviceDeleted() | ProductDeleted() | ApiKeyRevoked():
            return replace(entry, subject=None)
        case _:
            device = entry.device
            assert device is not None, "nothing happens to a device before it is registered"
            return replace(entry, subject=_changed(device, event, credential))


def _registered(event: DeviceRegistered, credential: Credential | None) -> Device:
    return Device(
        product_id=event.product_id,
        version=event.version,
        enabled=True,
        credential_id=event.credential_id,
        secret_hash=NO_HASH if credential is None else credential.hash,
        tags=event.tags,
        tags_version=event.tags_version,
        attributes=event.attributes,
        origin=event.origin,
        created_at=event.at,
        updated_at=event.at,
    )


def _changed(device: Device, event: DeviceChange, credential: Credential | None) -> Device:
    device = replace(device, version=event.version, updated_at=event.at)
    match event:
        case DeviceEnabled():
            return replace(device, enabled=True)
        case DeviceDisabled():
            return replace(device, enabled=False)
        case SecretRotated(old_valid_until=until):
            return replace(
                device,
                credential_id=event.credential_id,
                secret_hash=NO_HASH if credential is None else credential.hash,
                old_secret=None if until is None else OldSecret(device.secret_hash, until),
            )
        case OldSecretExpired():
            return replace(device, old_secret=None)
        case TagsChanged():
            return replace(device, tags=event.tags, tags_version=event.tags_version)
        case AttributesChanged():
            return replace(device, attributes=event.attributes)


def _product(before: Product | None, event: ProductChanged, credential: Credential | None) -> Product:
    product = Product(event.version, event.defaults, None, None, event.at, event.at)
    if before is not None:
        product = replace(
            product,
            created_at=before.created_at,
            credential_id=before.credential_id,
            secret_hash=before.secret_hash,
        )
    return product if credential is None else replace(product, credential_id=credential.id, secret_hash=credential.hash)


def _key(event: ApiKeyIssued, credential: Credential | None) -> ApiKey:
    hashed = NO_HASH if credential is None else credential.hash
    return ApiKey(event.name, event.scopes, event.products, hashed, event.at, event.expires_at)
