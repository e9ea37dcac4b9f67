"""Products and devices: who may speak at all."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.registry import (
    CredentialsRequested,
    DeleteDevice,
    DeleteProduct,
    DisableDevice,
    EnableDevice,
    PutProduct,
    RegisterDevice,
    RotateSecret,
    SetAttributes,
    SetTags,
)
from libs.topics.messages.registry_events import (
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceDocument,
    DeviceEnabled,
    DeviceRegistered,
    ProductChanged,
    ProductDeleted,
    ProductDocument,
    SecretRotated,
    TagsChanged,
)
from libs.topics.topic import DEVICE_KEY, FOREVER, MONTH, STATE, Topic, changelog

EVENTS: Final = (
    DeviceRegistered,
    DeviceDeleted,
    DeviceEnabled,
    DeviceDisabled,
    SecretRotated,
    TagsChanged,
    AttributesChanged,
    ProductChanged,
    ProductDeleted,
)

TOPICS: Final = (
    Topic(
        name=names.REGISTRY_INBOX,
        purpose="All that the registry folds: registrations, tags, status changes, first contacts of devices.",
        key="product/device, for a product's own changes the product id",
        types=(
            RegisterDevice,
            DeleteDevice,
            EnableDevice,
            DisableDevice,
            RotateSecret,
            SetTags,
            SetAttributes,
            PutProduct,
            DeleteProduct,
            CredentialsRequested,
        ),
        producers=("api", "ingest"),
        consumers=("registry",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="planned",
    ),
    Topic(
        name=names.REGISTRY_EVENTS,
        purpose="Every change of a product or a device.",
        key="product/device, for a product's own changes the product id",
        types=EVENTS,
        producers=("registry",),
        consumers=("shadow", "commands", "ota", "timeseries", "applications"),
        feeds=(names.SHADOW_INBOX, names.COMMANDS_INBOX, names.OTA_INBOX),
        retention_ms=FOREVER,
        stage="planned",
    ),
    Topic(
        name=names.REGISTRY_DEVICES,
        purpose="Every device: credentials as hashes, tags, whether it is enabled. Broker credentials and access "
        "rules are derived from this alone.",
        key=DEVICE_KEY,
        types=(DeviceDocument,),
        producers=("registry",),
        consumers=("registry", "api"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="planned",
        config=STATE,
    ),
    Topic(
        name=names.REGISTRY_PRODUCTS,
        purpose="Every product with its defaults.",
        key="product id",
        types=(ProductDocument,),
        producers=("registry",),
        consumers=("registry", "api"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="planned",
        config=STATE,
    ),
    changelog("registry", "devices", stage="planned"),
)
