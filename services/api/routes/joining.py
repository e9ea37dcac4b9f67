"""``:join``: a device that holds its product's secret gets its own, and ``:issue-token``: a token in its place."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody
from msgspec import Meta

from services.api.access import Gatekeeper, address_of
from services.api.describe import described
from services.api.device_access import CHALLENGE, authenticate, basic, problem
from services.api.documents import MqttAddress
from services.api.examples import AT, SECRET
from services.api.hub import Hub
from services.api.identity import Denied, credentials_of
from services.api.joining import Joined
from services.api.params import DeviceId, ProductId
from services.api.problems import Problem
from services.api.tokens import DEFAULT_TTL, MAX_TTL, Purpose, Token, issue

MessageId = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="22 to 64 of A-Z a-z 0-9 _ -, and random: whoever knows it and the product's secret is told the "
        "device's. Sent again with it, the request is answered with the same secret.",
    ),
]


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Annotated[Purpose, Meta(description="Where it is shown: at the broker, or to this API.")] = msgspec.field(
        name="for"
    )
    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TTL, description="Seconds that it shall be valid.")] = DEFAULT_TTL


class IssuedToken(msgspec.Struct, frozen=True):
    """Shown as the password, with the user name as ever (mqtt), or as ``Authorization: Bearer`` (http)."""

    token: str
    expires_at: int
    """Milliseconds. Rotating the secret or disabling the device ends it earlier."""


@post(
    "/:join",
    status_code=201,
    summary="Register itself",
    operation_id="join",
    opt=described(
        problems=(
            "join_unauthorized",
            "joining_off",
            "invalid_message_id",
            "device_exists",
            "rate_limited",
            "not_asked",
            "no_answer",
            "unknown_product",
            "product_closing",
            "reserved_name",
        ),
        answer=Joined("ok", SECRET, MqttAddress("mqtt.example.com", 8883, "plant-7/press-9", "plant-7/press-9")),
        security=("product_secret",),
        idempotent=False,
    ),
)
async def join(
    request: Request[Any, Any, Any],
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    message_id: MessageId = None,
) -> Joined:
    """Exchange the product's secret (Basic, `product/device` as the user name) for the device's own, once.

    A device that has not got the answer asks again, with the same `Idempotency-Key`.
    """
    device, address = f"{product_id}/{device_id}", address_of(request)
    username, secret = basic(request.headers.get("authorization", "")) or ("", "")
    try:
        hub.joining.check_secret(product_id, secret if username == device else "", address)
        joined = await hub.joining.join(product_id, device_id, message_id or secrets.token_urlsafe(16))
    except Problem as refused:
        hub.refusals.refuse("join_http", refused.code, device=device, address=address)
        if refused.code == "join_unauthorized":
            refused.headers.update(CHALLENGE)
        raise
    hub.refusals.allow("join_http")
    return joined


@post(
    "/:issue-token",
    status_code=201,
    summary="Issue a token",
    operation_id="issue_token",
    opt=described(
        problems=(
            "device_unauthorized",
            "device_disabled",
            "tokens_not_supported",
            "unauthorized",
            "forbidden",
            "rate_limited",
            "unknown_product",
            "unknown_device",
            "unavailable",
        ),
        request=TokenWish("http", 600),
        answer=IssuedToken(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwbGFudC03L3ByZXNzLTEifQ.6d...", AT + 600_000
        ),
        security=("api_key", "device_secret"),
        idempotent=False,
    ),
)
async def issue_token(
    request: Request[Any, Any, Any],
    data: JSONBody[TokenWish],
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
) -> IssuedToken:
    """Let a device, or an application with the scope `admin`, have a token that stands for the device's secret."""
    by_itself = request.headers.get("authorization", "").lower().startswith("basic ")
    if by_itself:
        device = await authenticate(request, hub, f"{product_id}/{device_id}", None)
        credential_id, end = device.credential_id, device.expires_at
    else:
        gatekeeper: Gatekeeper = request.app.state.gatekeeper
        header = request.headers.get("authorization", "")
        request.state.caller = gatekeeper.admit(header, request.path_params, "admin", address_of(request))
        credential_id, end = await _credential_id(hub, product_id, device_id), None
    if data.purpose == "mqtt" and hub.settings.broker != "emqx":
        said = (
            f"{hub.settings.broker} checks passwords by itself, against hashes: it cannot tell whether a token is good"
        )
        raise Problem("tokens_not_supported", said)
    now = hub.clock() // 1000
    expires_at = now + data.ttl_s if end is None else min(now + data.ttl_s, end)
    token = Token(f"{product_id}/{device_id}", data.purpose, credential_id, now, expires_at)
    return IssuedToken(issue(hub.settings.secrets_key.reveal(), token), 1000 * expires_at)


async def _credential_id(hub: Hub, product_id: str, device_id: str) -> str:
    """Raises `Problem`."""
    device = f"{product_id}/{device_id}"
    try:
        credentials = await credentials_of(hub, product_id, device_id)
    except Denied as denied:
        raise problem(denied, device) from denied
    if credentials is None:
        raise Problem("unknown_device", f"there is no device {device}")
    if not credentials.enabled:
        raise Problem("device_disabled", f"{device} is disabled")
    return credentials.credential_id


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}",
    route_handlers=[join, issue_token],
    tags=["devices themselves"],
)
