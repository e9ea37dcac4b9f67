"""What EMQX asks: who may connect, and who may publish or subscribe to what. ``FLEETLOG_BROKER_HOOK_SECRET`` opens it.

The answer is always 200 with a result. EMQX takes any other status, and no answer, for "ask the next in the chain", so
a hub that cannot tell says ``deny``: an authenticator behind it, or a broker that allows what nobody forbids, must not
let devices in because the registry is away. A device that is refused so tries again, and loses nothing.

User names without a slash are not devices': ``ignore``, so that the hub's own clients can stand in the broker's own
database, behind this hook.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from litestar import Router, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from libs.runtime import secrets
from libs.topics.access import CREDENTIAL, JOINING, Action, Rule, filled, joining_product, may, may_join, p2p_of, rules
from libs.topics.identity import InvalidName, split_key
from libs.topics.messages.registry import ProductDefaults
from services.api.access import CHALLENGE, address_of
from services.api.describe import described
from services.api.hub import Hub
from services.api.identity import Denied, credentials_of, identify
from services.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from libs.topics.messages.registry import AclRule
    from libs.topics.messages.registry_events import ProductDocument

Result = Literal["allow", "deny", "ignore"]

PROBLEMS: Final = ("unauthorized", "unknown_path", "rate_limited")
NO_DEFAULTS: Final = ProductDefaults()


class Connecting(msgspec.Struct, frozen=True):
    """A client that wants to connect; the broker writes an empty text where the client has told nothing."""

    username: str = ""
    password: str = ""
    clientid: str = ""
    peerhost: str = ""


class Doing(msgspec.Struct, frozen=True):
    """What a connected client wants to do."""

    action: Action
    topic: str
    """A topic filter where it subscribes."""
    username: str = ""
    clientid: str = ""
    peerhost: str = ""


class Permission(msgspec.Struct, frozen=True):
    """One of EMQX's access rules."""

    permission: Literal["allow", "deny"]
    action: Literal["publish"]
    topic: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    result: Result
    is_superuser: bool = False
    client_attrs: dict[str, str] | UnsetType = UNSET
    """``credential``: under which credential id the device was let in; the guard reads it in the list of clients.

    That of an outdated secret has a dot in front: it is not the current one, whatever that comes to be.
    """
    acl: list[Permission] | UnsetType = UNSET
    """What it may publish, so that not every message is asked about. EMQX asks about what fits none of these.

    Subscriptions are not here: they are rare, and EMQX takes ``a/#`` to be covered by ``a/+``.
    """
    expire_at: int | UnsetType = UNSET
    """Unix seconds: with its token, or with the grace of its secret, the session ends."""


def asked_by_broker(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Let in who shows the shared secret, as ``Authorization: Bearer ...``. Raises `Problem`."""
    wanted = connection.app.state.hook_secret.reveal()
    if not wanted:
        raise NotFoundException
    given = connection.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
        said = "the request does not show the secret of the broker's hooks"
        refused = Problem("unauthorized", said, headers=CHALLENGE)
        raise connection.app.state.strangers.problem(address_of(connection), refused)


@post(
    "/authn",
    status_code=200,
    summary="May this client connect?",
    operation_id="emqx_authenticate",
    opt=described(
        problems=PROBLEMS,
        request=Connecting("plant-7/press-1", "its secret", "plant-7/press-1", "192.0.2.7"),
        answer=Decision(result="allow", client_attrs={CREDENTIAL: "4kQ0Yv3mRk2sT8a1ZbXn9w"}),
        security=("broker_hook",),
        idempotent=False,
    ),
)
async def authn(data: JSONBody[Connecting], hub: NamedDependency[Hub]) -> Decision:
    """Decide as EMQX's HTTP authentication asks: `allow`, `deny`, or `ignore` for what is no device."""
    username = data.username
    if "/" not in username:
        return Decision(result="ignore")
    try:
        decision = await _joining(hub, data) if joining_product(username) else await _device(hub, data)
    except Denied as denied:
        about = {"username": username, "client_id": data.clientid, "address": data.peerhost}
        hub.refusals.refuse("emqx_authn", denied.reason, **about)
        return Decision(result="deny")
    hub.refusals.allow("emqx_authn")
    return decision


@post(
    "/authz",
    status_code=200,
    summary="May this client do that?",
    operation_id="emqx_authorize",
    opt=described(
        problems=PROBLEMS,
        request=Doing("subscribe", "cmd/plant-7/press-1/+/+/+/#", "plant-7/press-1", "plant-7/press-1", "192.0.2.7"),
        answer=Decision(result="allow"),
        security=("broker_hook",),
        idempotent=False,
    ),
)
async def authz(data: JSONBody[Doing], hub: NamedDependency[Hub]) -> Decision:
    """Decide as EMQX's HTTP authorization asks: `allow`, `deny`, or `ignore` for what is no device."""
    if "/" not in data.username:
        return Decision(result="ignore")
    try:
        await _check(hub, data)
    except Denied as denied:
        about = {"username": data.username, "action": data.action, "topic": data.topic, "address": data.peerhost}
        hub.refusals.refuse("emqx_authz", denied.reason, **about)
        return Decision(result="deny")
    hub.refusals.allow("emqx_authz")
    return Decision(result="allow")


async def _device(hub: Hub, client: Connecting) -> Decision:
    """Raises `Denied`."""
    if client.clientid != client.username:
        raise Denied("invalid_client_id")
    found = await identify(hub, client.username, client.password, "mqtt")
    product = hub.products.documents.get(found.product_id.encode())
    allowed = rules((), NO_DEFAULTS if product is None else product.defaults)
    return Decision(
        result="allow",
        client_attrs={CREDENTIAL: f".{found.credential_id}" if found.outdated else found.credential_id},
        acl=_permissions(allowed, found.product_id, found.device_id),
        expire_at=UNSET if found.expires_at is None else found.expires_at,
    )


async def _joining(hub: Hub, client: Connecting) -> Decision:
    """Raises `Denied`. Several devices of a product may join at a time, each under an id of its own."""
    product_id = joining_product(client.username) or ""
    if client.clientid != client.username and not client.clientid.startswith(f"{client.username}/"):
        raise Denied("invalid_client_id")
    product = joinable(hub, product_id)
    if product.secret_hash is None or not secrets.verify(client.password, product.secret_hash):
        raise Denied("wrong_secret")
    return Decision(result="allow", acl=_permissions(JOINING, product_id, ""))


async def _check(hub: Hub, doing: Doing) -> None:
    """Raises `Denied`."""
    joining = joining_product(doing.username)
    if joining is not None:
        joinable(hub, joining)
        if not may_join(doing.action, doing.topic, joining):
            raise Denied("forbidden_topic")
        return
    try:
        product_id, device_id = split_key(doing.username.encode("utf-8", "backslashreplace"))
    except InvalidName as error:
        raise Denied("invalid_user_name") from error
    credentials = await credentials_of(hub, product_id, device_id)
    if credentials is None:
        raise Denied("unknown_device")
    if not credentials.enabled:
        raise Denied("disabled")
    product = hub.products.documents.get(product_id.encode())
    defaults = NO_DEFAULTS if product is None else product.defaults
    if not may(doing.action, doing.topic, product_id, device_id, tags=credentials.tags, defaults=defaults):
        raise Denied("forbidden_topic")


def joinable(hub: Hub, product_id: str) -> ProductDocument:
    """Return the product, if its devices may register themselves. Raises `Denied`."""
    product = hub.products.documents.get(product_id.encode())
    if product is None or not product.defaults.dynamic_registration:
        raise Denied("joining_off")
    return product


def _permissions(allowed: Iterable[Rule | AclRule], product_id: str, device_id: str) -> list[Permission]:
    """EMQX takes the first that fits."""
    publish = [rule for rule in allowed if rule.action == "publish"]
    denied = dict.fromkeys(topic for rule in publish for topic in p2p_of(rule))
    said: list[tuple[Literal["allow", "deny"], str]] = [("deny", topic) for topic in denied]
    said += [("allow", rule.topic) for rule in publish]
    return [Permission(which, "publish", filled(topic, product_id, device_id)) for which, topic in said]


router = Router("/v1/broker/emqx", route_handlers=[authn, authz], guards=[asked_by_broker], tags=["broker"])
