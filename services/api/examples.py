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

PRESENCE: Final = d.DevicePresence(
    Session("online", AT, (CHANNEL,)), AT + 30_000, product_id="plant-7", device_id="press-1"
)
PRESS_2: Final = d.DeviceName("plant-7", "press-2")
PRESENCE_BATCH: Final = d.PresenceBatch((d.DeviceName("plant-7", "press-1"), PRESS_2))
PRESENCE_BATCH_ANSWER: Final = d.PresenceBatchAnswer([PRESENCE], [PRESS_2], [])
TRANSITION: Final = d.Transition(
    id="presence.inbox-2-1077-0",
    old="online",
    new="offline",
    cause="connection_lost",
    reason="has exceeded timeout, disconnecting",
    client_id="plant-7/press-1",
    channel_id=None,
    previous_channel_id=CHANNEL.channel_id,
    source="mosquitto:main",
    at=AT + 90_000,
    observed_at=AT + 90_004,
    since=AT + 90_000,
)
DEVICE_EVENT: Final = d.DeviceEvent(
    type="data_uploaded",
    data_type="weather",
    to_device_id=None,
    message_id="m-41",
    encoding="json",
    payload={"t": 21.5, "engine": {"rpm": 812}},
    received_at=AT + 30_000,
    device_at=None,
)
SERIES: Final = d.Series(
    "plant-7", "press-1", "engine.rpm", 60, [d.Point(AT, mean=810.5, least=801, most=820, count=6)]
)
STREAM: Final = """\
retry: 1000
id: ~p2n.0.8c.1~r4.0.0.2

event: presence_changed
data: {"type":"presence_changed","product_id":"plant-7","device_id":"press-1","old":"offline","new":"online"}
id: ~p2o.0.8c.1~r4.0.0.2

"""
