"""What the API answers with, and what it takes. The wire formats of Kafka are in `libs.topics`; these are for HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.topics.messages.base import Millis
from libs.topics.messages.presence import Cause, LastProbe, Session, SessionState
from libs.topics.messages.registry import AclRule, Origin

from .command_documents import PendingCommands
from .params import NAME
from .shadow_documents import ShadowVersions, Status

T = TypeVar("T")
Outcome: TypeAlias = Literal["created", "exists", "refused", "unanswered"]

Name = Annotated[str, Meta(pattern=NAME, description="1 to 64 of A-Z a-z 0-9 _ -.")]
Tags = Annotated[tuple[Name, ...], Meta(max_length=64, description="Names; order and repetition do not matter.")]
Attributes = Annotated[dict[str, Any], Meta(description="Anything that the application wants to note about a device.")]
Seconds = Annotated[int, Meta(ge=0, le=366 * 24 * 3600)]
ProbeSeconds = Annotated[int, Meta(ge=60, le=366 * 24 * 3600)]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None
    """For the next page; null: this is the last one."""


class ProductBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a product says about its devices."""

    shadow_template: Annotated[
        dict[str, Any] | None, Meta(description="Initial shadow document of its devices: `desired` and `reported`.")
    ] = None
    command_ttl_s: Annotated[
        Seconds | None, Meta(description="How long commands wait for an offline device; null: the hub's default.")
    ] = None
    probe_interval_s: Annotated[
        ProbeSeconds | None,
        Meta(
            description="How often each of its devices is asked whether it answers, unless it is offline; null: when "
            "somebody wants to know."
        ),
    ] = None
    acl: Annotated[
        tuple[AclRule, ...],
        Meta(
            max_length=32,
            description="What its devices may do besides the protocol; `{product}` and `{device}` stand for their ids.",
        ),
    ] = ()
    device_to_device: Annotated[bool, Meta(description="Its devices may send messages to each other.")] = False
    dynamic_registration: Annotated[
        bool, Meta(description="Devices may register themselves with the product's secret.")
    ] = False


class NewProduct(ProductBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A product to be created."""

    product_id: Name


class ProductPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A merge patch (RFC 7396): what is given is changed, null is the default."""

    shadow_template: dict[str, Any] | UnsetType | None = UNSET
    command_ttl_s: Seconds | UnsetType | None = UNSET
    probe_interval_s: ProbeSeconds | UnsetType | None = UNSET
    acl: Annotated[tuple[AclRule, ...], Meta(max_length=32)] | UnsetType | None = UNSET
    device_to_device: bool | UnsetType | None = UNSET
    dynamic_registration: bool | UnsetType | None = UNSET


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product with its defaults."""

    product_id: str
    version: int
    shadow_template: dict[str, Any] | None
    command_ttl_s: int | None
    probe_interval_s: int | None
    acl: tuple[AclRule, ...]
    device_to_device: bool
    dynamic_registration: bool
    has_secret: Annotated[bool, Meta(description="It has a secret, with which devices may register themselves.")]
    created_at: Millis
    updated_at: Millis


class ProductWithSecret(Product, frozen=True, kw_only=True):
    """A product at the only moment at which its secret is shown."""

    secret: Annotated[str | None, Meta(description="Shown only here; null: none was made.")]


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device to be registered."""

    device_id: Annotated[Name | None, Meta(description="null: the hub chooses one.")] = None
    tags: Tags = ()
    attributes: Attributes = msgspec.field(default_factory=dict)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What is registered about a device."""

    product_id: str
    device_id: str
    version: int
    enabled: bool
    tags: tuple[str, ...]
    tags_version: int
    attributes: dict[str, Any]
    origin: Origin
    credential_id: Annotated[str, Meta(description="Names the device's secret; another one after each rotation.")]
    old_secret_valid_until: Annotated[
        Millis | None, Meta(description="End of the old secret's grace; null: only the newest is valid.")
    ]
    created_at: Millis
    updated_at: Millis


class Presence(msgspec.Struct, frozen=True):
    """Three facts that are kept apart: the session, the last traffic, the last probe."""

    session: Session
    last_traffic_at: Millis | None = None
    last_probe: LastProbe | None = None


class DeviceDetail(Device, frozen=True, kw_only=True):
    """A device with what the hub knows of it now."""

    presence: Annotated[Presence | None, Meta(description="null: nobody answers for it at the moment.")]
    status: Annotated[
        Status | None, Meta(description="The last one; null: it has reported none, or `shadow` is null, too.")
    ]
    shadow: Annotated[
        ShadowVersions | None,
        Meta(description="How far its own shadow is. null: nobody answers for it at the moment."),
    ]
    shadows: Annotated[dict[str, ShadowVersions] | None, Meta(description="Named shadows, as `shadow`.")]
    pending_commands: Annotated[
        PendingCommands | None, Meta(description="null: nobody answers for its commands at the moment.")
    ]


class MqttAddress(msgspec.Struct, frozen=True):
    """How a device connects, besides its secret as the password."""

    host: str
    port: int
    username: str
    client_id: str


class DeviceWithSecret(Device, frozen=True, kw_only=True):
    """A device at the only moment at which its secret is shown."""

    secret: Annotated[
        str | None,
        Meta(
            description="The password at the broker, shown only here. null: the request is a repetition, and another "
            "secret is in force since."
        ),
    ]
    mqtt: MqttAddress


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a secret is replaced."""

    grace_s: Annotated[
        int, Meta(ge=0, le=30 * 24 * 3600, description="How long the old secret is valid besides, in seconds.")
    ] = 0


class DevicePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396) of the attributes: what is given is set, null removes it."""

    attributes: Attributes


class TagsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags, and the version that the device's tags must have."""

    tags: Tags
    expected_version: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="`tags_version` as the caller knows it; null: whatever it is."),
    ] = None


class DeviceTags(msgspec.Struct, frozen=True):
    """All tags of a device."""

    tags: tuple[str, ...]
    tags_version: int


class BulkDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of many. Its names are checked one by one, so that a wrong one refuses its own device only."""

    device_id: Annotated[str | None, Meta(description="null: the hub chooses one.")] = None
    tags: tuple[str, ...] = ()
    attributes: Attributes = msgspec.field(default_factory=dict)


class Bulk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices to be registered together."""

    devices: Annotated[tuple[BulkDevice, ...], Meta(min_length=1, max_length=10_000)]


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one of many."""

    device_id: str
    outcome: Annotated[
        Outcome,
        Meta(
            description="`refused`: nothing was done, `code` says why. `unanswered`: the hub could not say in time; "
            "send the same request again."
        ),
    ]
    version: int | None = None
    secret: Annotated[str | None, Meta(description="With `created`. Shown only here.")] = None
    mqtt: Annotated[MqttAddress | None, Meta(description="With `created`.")] = None
    code: Annotated[str | None, Meta(description="As a problem's.")] = None
    detail: str | None = None


class BulkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome for each device, in the order of the request, and how many there are of each."""

    results: list[BulkOutcome]
    created: int
    exists: int
    refused: int
    unanswered: int


class DeviceName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device by its ids."""

    product_id: Name
    device_id: Name


class DevicePresence(Presence, frozen=True, kw_only=True):
    """The presence of one device."""

    product_id: str
    device_id: str
    at: Annotated[
        Millis | None,
        Meta(
            description="The moment that was asked for, of which only the session's state and its beginning are known. "
            "null: now."
        ),
    ] = None


class PresenceBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices whose presence is asked for together."""

    devices: Annotated[tuple[DeviceName, ...], Meta(min_length=1, max_length=1000)]


class PresenceBatchAnswer(msgspec.Struct, frozen=True):
    """Every device that was asked for is in one of the three, whatever their order."""

    items: list[DevicePresence]
    unknown: Annotated[list[DeviceName], Meta(description="There are no such devices.")]
    unavailable: Annotated[list[DeviceName], Meta(description="Nobody answers for these now; ask again.")]


class PresenceCounts(msgspec.Struct, frozen=True):
    """How many devices of a product are in each state, of those that were ever heard of."""

    online: int = 0
    offline: int = 0
    unknown: int = 0


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a device's session."""

    id: str
    old: SessionState
    new: SessionState
    cause: Cause
    reason: Annotated[str | None, Meta(description="The broker's own words on a close.")]
    client_id: str
    channel_id: Annotated[str | None, Meta(description="The channel that carried the session since.")]
    previous_channel_id: str | None
    source: Annotated[str, Meta(description="Who saw it.")]
    at: Annotated[Millis, Meta(description="When it happened, by the source's clock.")]
    observed_at: Annotated[Millis, Meta(description="When the hub had it.")]
    since: Annotated[Millis, Meta(description="From when on the new state held, as far as was known.")]


class DeviceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a device has sent."""

    type: Literal["data_uploaded", "device_message_sent"]
    data_type: Annotated[str, Meta(description="Of an upload.")]
    to_device_id: Annotated[str | None, Meta(description="The addressee of a message to another device.")]
    message_id: str
    encoding: Literal["json", "base64"]
    payload: Annotated[Any, Meta(description="JSON as the device sent it, or its bytes in base64.")]
    received_at: Millis
    device_at: Annotated[Millis | None, Meta(description="The time that the device gave, believed or not.")]


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value, or what became of the values of one step."""

    at: Annotated[Millis, Meta(description="Of the value, or the beginning of the step.")]
    value: float | None = None
    mean: float | None = None
    least: float | None = None
    most: float | None = None
    count: int | None = None


class Series(msgspec.Struct, frozen=True):
    """The values of one metric of one device, the oldest first."""

    product_id: str
    device_id: str
    key: str
    step_s: Annotated[int | None, Meta(description="null: single values.")]
    points: list[Point]
