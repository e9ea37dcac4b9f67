"""Rows as the documents and views that others see. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime.lane.model import retract, send
from libs.topics.codec import encode
from libs.topics.messages.registry_events import ApiKeyDocument, DeviceDocument, ProductDocument
from libs.topics.messages.registry_views import ApiKeyView, CredentialsView, DeviceView, ProductView, TagsView

from .model import ApiKey, Device, Product

if TYPE_CHECKING:
    from libs.runtime.lane.model import Output

    from .model import Entry, Known


def document(topic: str, key: bytes, entry: Entry) -> Output:
    """Make the document of a row for its compacted topic; one that deletes it where the subject is deleted."""
    name = key.decode().rpartition("/")[2]
    match entry.subject:
        case Device() as device:
            return send(topic, key, encode(device_document(name, device)))
        case Product() as product:
            return send(topic, key, encode(product_document(name, product)))
        case ApiKey() as api_key:
            return send(topic, key, encode(key_document(name.removeprefix("key:"), api_key)))
        case None:
            return retract(topic, key)


def device_document(device_id: str, device: Device) -> DeviceDocument:
    return DeviceDocument(
        device.product_id,
        device_id,
        device.version,
        device.enabled,
        device.credential_id,
        device.secret_hash,
        device.old_secret,
        device.tags,
        device.tags_version,
        device.attributes,
        device.origin,
        device.created_at,
        device.updated_at,
    )


def device_view(device_id: str, device: Device) -> DeviceView:
    return DeviceView(
        device.product_id,
        device_id,
        device.version,
        device.enabled,
        device.credential_id,
        None if device.old_secret is None else device.old_secret.valid_until,
        device.tags,
        device.tags_version,
        device.attributes,
        device.origin,
        device.created_at,
        device.updated_at,
    )


def tags_view(device: Device) -> TagsView:
    return TagsView(device.tags, device.tags_version)


def credentials_view(device: Device, product: Known) -> CredentialsView:
    return CredentialsView(
        device.version,
        device.enabled,
        device.credential_id,
        device.secret_hash,
        device.old_secret,
        device.tags,
        product.acl,
        product.device_to_device,
    )


def product_document(product_id: str, product: Product) -> ProductDocument:
    return ProductDocument(
        product_id,
        product.version,
        product.defaults,
        product.credential_id,
        product.secret_hash,
        product.created_at,
        product.updated_at,
    )


def product_view(product_id: str, product: Product) -> ProductView:
    return ProductView(
        product_id, product.version, product.defaults, product.credential_id, product.created_at, product.updated_at
    )


def key_document(key_id: str, key: ApiKey) -> ApiKeyDocument:
    return ApiKeyDocument(key_id, key.name, key.scopes, key.products, key.hash, key.created_at, key.expires_at)


def key_view(key_id: str, key: ApiKey) -> ApiKeyView:
    return ApiKeyView(key_id, key.name, key.scopes, key.products, key.created_at, key.expires_at)
