"""``POST /v1/ingest/...``: what a device publishes on ``upload_data/...``, over HTTP, as the same event."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Router, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import PathParameter

from libs.topics.codec import encode
from libs.topics.identity import InvalidName, is_name
from libs.topics.messages.presence import TrafficSeen
from libs.topics.messages.telemetry import DataUploaded
from libs.topics.names import DEVICE_TELEMETRY, PRESENCE_INBOX
from libs.topics.payload import embed
from services.api.bodies import ANYTHING, CONSUMES
from services.api.describe import described
from services.api.device_access import authenticate
from services.api.hub import Hub
from services.api.params import NAME, DeviceId, ProductId
from services.api.problems import Problem, busy
from services.api.uplink import NotDelivered

MAX_BODY = 393_216
"""Bytes, whatever the setting says: a larger payload would not fit into a record as base64."""

DataType = Annotated[
    str,
    PathParameter(
        description="What it is: 1 to 64 of A-Z a-z 0-9 _ -; names that begin with $ are the hub's own.",
        examples=[Example(value="climate")],
        schema_extra={"pattern": NAME},
    ),
]
MessageId = Annotated[
    str,
    PathParameter(
        description="Chosen by the device, unique among its messages: a repeated one is recognisable.",
        examples=[Example(value="Zk1uQ9sVx0b2a3c4d5e6fg")],
        schema_extra={"pattern": NAME},
    ),
]


class Accepted(msgspec.Struct, frozen=True):
    """The message is in Kafka."""

    message_id: str
    received_at: int


ACCEPTED: Final = Accepted("Zk1uQ9sVx0b2a3c4d5e6fg", 1_760_000_000_000)
PROBLEMS: Final = (
    "device_unauthorized",
    "device_disabled",
    "reserved_name",
    "body_too_large",
    "rate_limited",
    "unavailable",
    "no_answer",
)
SHOWN: Final = ("device_secret", "device_token")


async def _upload(request: Request[Any, Any, Any], hub: Hub, key: str, data_type: str, message_id: str) -> Accepted:
    """Raises `Problem`, `InvalidName`."""
    device = await authenticate(request, hub, key, "http")
    if data_type.startswith("$"):
        raise Problem("reserved_name", "data types that begin with $ are the hub's own")
    for name in (data_type, message_id):
        if not is_name(name):
            raise InvalidName(f"{name!r} is not a name: use 1 to 64 of A-Z a-z 0-9 _ -")
    payload, limit = await request.body(), hub.settings.max_payload
    if len(payload) > limit:
        raise Problem("body_too_large", f"the payload has {len(payload)} bytes, at most {limit} are taken")
    now = hub.clock()
    event = DataUploaded(device.product_id, device.device_id, data_type, message_id, 0, *embed(payload), now)
    try:
        await hub.uplink.send(DEVICE_TELEMETRY, device.key, encode(event))
    except NotDelivered as error:
        raise busy("no_answer", str(error)) from error
    if hub.activity.due(device.key, now):
        hub.uplink.mark(PRESENCE_INBOX, device.key, encode(TrafficSeen(device.product_id, device.device_id, now)))
    return Accepted(message_id, now)


@post(
    "/{product_id:str}/{device_id:str}/{data_type:str}",
    status_code=202,
    summary="Upload, under a message id that the hub chooses",
    operation_id="upload",
    opt={
        CONSUMES: (ANYTHING,),
        **described(problems=PROBLEMS, answer=ACCEPTED, security=SHOWN, raw=True, idempotent=False),
    },
    request_max_body_size=MAX_BODY,
)
async def upload(
    request: Request[Any, Any, Any],
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    data_type: DataType,
) -> Accepted:
    """Take any bytes; JSON stays JSON. 202 means that Kafka has the message on every in-sync replica."""
    return await _upload(request, hub, f"{product_id}/{device_id}", data_type, secrets.token_urlsafe(16))


@post(
    "/{product_id:str}/{device_id:str}/{data_type:str}/{message_id:str}",
    status_code=202,
    summary="Upload",
    operation_id="upload_message",
    opt={
        CONSUMES: (ANYTHING,),
        **described(problems=PROBLEMS, answer=ACCEPTED, security=SHOWN, raw=True, idempotent=False),
    },
    request_max_body_size=MAX_BODY,
)
async def upload_message(
    request: Request[Any, Any, Any],
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    data_type: DataType,
    message_id: MessageId,
) -> Accepted:
    """Take any bytes; JSON stays JSON. 202 means that Kafka has the message on every in-sync replica."""
    return await _upload(request, hub, f"{product_id}/{device_id}", data_type, message_id)


router = Router(
    "/v1/ingest",
    route_handlers=[upload, upload_message],
    tags=["devices themselves"],
)
