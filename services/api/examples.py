"""Examples for the OpenAPI document: one plant, told the same way in every call. A test decodes all of them."""

from __future__ import annotations

from typing import Final

from msgspec import structs
from msgspec.structs import asdict

from libs.topics.messages.presence import OpenChannel, Session
from libs.topics.messages.registry import AclRule
from libs.topics.messages.shadow_changes import FieldConverged, ShadowSections

from . import command_documents as cd
from . import documents as d
from . import shadow_documents as sd

AT: Final = 1_760_000_000_000
PRODUCT: Final = d.Product(
    product_id="plant-7",
    version=3,
    shadow_template={"desired": {"interval_s": 10}},
    command_ttl_s=3600,
    probe_interval_s=None,
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
STATUS: Final = sd.Status({"app_ver": "2.4.1", "battery": 87}, "s-9", AT + 20_000)
VERSIONS: Final = sd.ShadowVersions(4, 3, 4, converged=False)
DEVICE_DETAIL: Final = d.DeviceDetail(
    **asdict(DEVICE),
    presence=d.Presence(Session("online", AT, (CHANNEL,)), AT + 30_000),
    status=STATUS,
    shadow=VERSIONS,
    shadows={"network": sd.ShadowVersions(1, 1, 0, converged=False)},
    pending_commands=cd.PendingCommands(2, 1),
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
SHADOW: Final = sd.Shadow(
    product_id="plant-7",
    device_id="press-1",
    shadow=None,
    state=ShadowSections({"interval_s": 5, "lamp": {"on": True}}, {"interval_s": 10, "lamp": {"on": True}}),
    metadata=ShadowSections(
        {"interval_s": {"timestamp": AT}, "lamp": {"on": {"timestamp": AT - 5000}}},
        {"interval_s": {"timestamp": AT - 9000}, "lamp": {"on": {"timestamp": AT + 800}}},
    ),
    delta={"interval_s": 5},
    pending_since=AT,
    version=4,
    desired_version=3,
    reported_version=4,
    created_at=AT - 9000,
    updated_at=AT + 800,
)
CLEARED_SHADOW: Final = structs.replace(
    SHADOW,
    state=ShadowSections({}, SHADOW.state.reported),
    metadata=ShadowSections({}, SHADOW.metadata.reported),
    delta={},
    pending_since=None,
    version=5,
    desired_version=5,
    updated_at=AT + 9000,
)
NAMED_SHADOW: Final = sd.Shadow(
    product_id="plant-7",
    device_id="press-1",
    shadow="network",
    state=ShadowSections({"interval_s": 5}),
    metadata=ShadowSections({"interval_s": {"timestamp": AT}}),
    delta={"interval_s": 5},
    pending_since=AT,
    version=1,
    desired_version=1,
    reported_version=0,
    created_at=AT,
    updated_at=AT,
)
SHADOW_PATCH: Final = {"interval_s": 5, "lamp": {"colour": None}}
SHADOW_DESIRED: Final = {"interval_s": 5, "lamp": {"on": True}}
SHADOW_CHANGE: Final = sd.ShadowChange(
    id="shadow.inbox-2-1078-0",
    cause="reported",
    via="native",
    by="device",
    desired=None,
    reported={"lamp": {"on": True}},
    cleared=(),
    version_before=3,
    version=4,
    delta={"interval_s": 5},
    pending_since=AT,
    converged=(FieldConverged("/lamp/on", AT - 5000, drifted=False),),
    created_at=AT - 9000,
    patch_id=None,
    at=AT + 800,
)
SHADOW_REFUSAL: Final = sd.ShadowRefusal(
    id="shadow.inbox-2-1080-0",
    via="api",
    by="ops",
    code="version_conflict",
    detail="the shadow has version 4, not 3",
    given_version=3,
    version=4,
    patch_id=None,
    at=AT + 900,
)
SHADOW_DIFF: Final = sd.ShadowDiff(3, 4, [], [sd.FieldChange("/lamp/on", False, True)])
TAGGED_PATCH: Final = sd.TaggedPatch(
    patch_id="m2Tq3Jb6QGqk0dUq2mJ0Zg", matched=812, changed=811, refused=1, partitions=24
)
TAGGED_PATCH_PROGRESS: Final = sd.TaggedPatchProgress(
    patch_id="m2Tq3Jb6QGqk0dUq2mJ0Zg",
    tag="hall-2",
    shadow=None,
    by="ops",
    at=AT + 120,
    partitions=24,
    matched=812,
    changed=811,
    refused=1,
    converged=640,
)
STREAM: Final = """\
retry: 1000
id: ~p2n.0.8c.1~r4.0.0.2

event: presence_changed
data: {"type":"presence_changed","product_id":"plant-7","device_id":"press-1","old":"offline","new":"online"}
id: ~p2o.0.8c.1~r4.0.0.2

"""
