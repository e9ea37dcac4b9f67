"""Products, devices and API keys: who may speak at all."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry import (
    AddTags,
    DeleteDevice,
    DeleteProduct,
    DisableDevice,
    EnableDevice,
    IssueApiKey,
    ProductTaken,
    PutProduct,
    RegisterDevice,
    RemoveTags,
    RevokeApiKey,
    RotateSecret,
    SetAttributes,
    SetTags,
)
from libs.topics.messages.registry_events import (
    ApiKeyDocument,
    ApiKeyIssued,
    ApiKeyRevoked,
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceDocument,
    DeviceEnabled,
    DeviceRegistered,
    OldSecretExpired,
    ProductChanged,
    ProductClosing,
    ProductDeleted,
    ProductDocument,
    SecretRotated,
    TagsChanged,
)
from libs.topics.topic import DEVICE_KEY, FOREVER, MONTH, STATE, Topic, changelog

PRODUCT_EVENTS: Final = (ProductChanged, ProductDeleted)
EVENTS: Final = (
    DeviceRegistered,
    DeviceDeleted,
    DeviceEnabled,
    DeviceDisabled,
    SecretRotated,
    OldSecretExpired,
    TagsChanged,
    AttributesChanged,
    *PRODUCT_EVENTS,
)
"""What inboxes are fed with. API keys concern nobody's state."""

KEYS: Final = "product/device, for a product's own changes the product id, for an API key `key:` and its id"

TOPICS: Final = (
    Topic(
        name=names.REGISTRY_INBOX,
        purpose="All that the registry folds: registrations, credentials, tags and status of devices, products and "
        "which partitions have taken them, API keys, ticks.",
        key=KEYS,
        types=(
            RegisterDevice,
            DeleteDevice,
            EnableDevice,
            DisableDevice,
            RotateSecret,
            SetTags,
            AddTags,
            RemoveTags,
            SetAttributes,
            PutProduct,
            DeleteProduct,
            *PRODUCT_EVENTS,
            ProductClosing,
            ProductTaken,
            IssueApiKey,
            RevokeApiKey,
            TimePassed,
        ),
        producers=("api", "registry", "operators"),
        consumers=("registry",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="live",
    ),
    Topic(
        name=names.REGISTRY_EVENTS,
        purpose="Every change of a product, a device or an API key.",
        key=KEYS,
        types=(*EVENTS, ApiKeyIssued, ApiKeyRevoked),
        producers=("registry",),
        consumers=("registry", "presence", "shadow", "commands", "ota", "timeseries", "applications"),
        feeds=(
            names.REGISTRY_INBOX,
            names.PRESENCE_INBOX,
            names.SHADOW_INBOX,
            names.COMMANDS_INBOX,
            names.OTA_INBOX,
        ),
        announced=PRODUCT_EVENTS,
        retention_ms=FOREVER,
        stage="live",
    ),
    Topic(
        name=names.REGISTRY_DEVICES,
        purpose="Every device: credentials as hashes, tags, whether it is enabled. Broker credentials and access "
        "rules are derived from this alone.",
        key=DEVICE_KEY,
        types=(DeviceDocument,),
        producers=("registry",),
        consumers=("guard",),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="live",
        config=STATE,
    ),
    Topic(
        name=names.REGISTRY_PRODUCTS,
        purpose="Every product with its defaults, and the hash of its secret.",
        key="product id",
        types=(ProductDocument,),
        producers=("registry",),
        consumers=("guard", "api"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="live",
        config=STATE,
    ),
    Topic(
        name=names.REGISTRY_API_KEYS,
        purpose="Every application that is let in: its scopes, its products, the hash of its key.",
        key="`key:` and the key's id",
        types=(ApiKeyDocument,),
        producers=("registry",),
        consumers=("api",),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="live",
        config=STATE,
    ),
    changelog("registry", "registry", stage="live"),
)
