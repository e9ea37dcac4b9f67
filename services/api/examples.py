"""Examples for the OpenAPI document: one plant, told the same way in every call. A test decodes all of them."""

from __future__ import annotations

from typing import Final

from msgspec import structs
from msgspec.structs import asdict

from libs.topics.messages.presence import OpenChannel, Session
from libs.topics.messages.registry import AclRule

from . import documents as d

AT: Final = 1_760_000_000_000
PRODUCT: Final = d.Product(
    product_id="plant-7",
    version=3,
    shadow_template={"desired": {"interval_s": 10}},
    command_ttl_s=3600,
    acl=(AclRule("subscribe", "recipes/{product}/#"),),
    device_to_device=False,
    dynamic_registration=True,
    has_secret=True,
    created_at=AT,
    updated_at=AT,
)
SECRET: Final = "Jm3sQZ0q7uXKd1JmVtq3wZ9h2c5n8r4t6y1a0b_e-fg"  # noqa: S105 - of no device
PRODUCT_WITH_SECRET: Final = d.ProductWithSecret(**asdict(PRODUCT), secret=SECRET)
NEW_PRODUCT: Final = d.NewProduct(product_id="plant-7", command_ttl_s=3600, dynamic_registration=True)
PRODUCT_PATCH: Final = d.ProductPatch(command_ttl_s=None, device_to_device=True)

DEVICE: Final = d.Device(
    product_id="plant-7",
    device_id="press-1",
    version=4,
    enabled=True,
    tags=("hall-2", "hydraulic"),
    tags_version=2,
    attributes={"serial": "A-1102", "line": 3},
    origin="application",
    credential_id="m2Tq3Jb6QGqk0dUq2mJ0Zg",
    old_secret_valid_until=None,
    created_at=AT,
    updated_at=AT + 60_000,
)
DISABLED_DEVICE: Final = structs.replace(DEVICE, enabled=False)
ADDRESS: Final = d.MqttAddress("mqtt.example.com", 8883, "plant-7/press-1", "plant-7/press-1")
DEVICE_WITH_SECRET: Final = d.DeviceWithSecret(**asdict(DEVICE), secret=SECRET, mqtt=ADDRESS)
CHANNEL: Final = OpenChannel("plant-7/press-1", "1760000000000-17", AT, "mosquitto", "10.0.3.17", 5, 60)
DEVICE_DETAIL: Final = d.DeviceDetail(
    **asdict(DEVICE), presence=d.Presence(Session("online", AT, (CHANNEL,)), AT + 30_000)
)
NEW_DEVICE: Final = d.NewDevice(device_id="press-1", tags=("hall-2",), attributes={"serial": "A-1102"})
DEVICE_PATCH: Final = d.DevicePatch({"line": 4, "serial": None})
ROTATION: Final = d.Rotation(grace_s=3600)
TAGS: Final = d.TagsBody(("hall-2", "hydraulic"), 1)
DEVICE_TAGS: Final = d.DeviceTags(("hall-2", "hydraulic"), 2)
BULK: Final = d.Bulk((d.BulkDevice(device_id="press-1", tags=("hall-2",)), d.BulkDevice(device_id="press 2")))
BULK_ANSWER: Final = d.BulkAnswer(
    results=[
        d.BulkOutcome(device_id="press-1", outcome="created", version=4, secret=SECRET, mqtt=ADDRESS),
        d.BulkOutcome(device_id="press 2", outcome="refused", code="invalid_name", detail="'press 2' is not a name"),
    ],
    created=1,
    exists=0,
    refused=1,
    unanswered=0,
)
