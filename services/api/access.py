"""Who calls, and what they may do: API keys, scopes, products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Request

from libs.runtime import keys
from libs.topics.identity import InvalidName, is_name
from libs.topics.messages.registry import Scope

from .problems import Problem, unknown_product

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from libs.topics.messages.registry_events import ApiKeyDocument

    from .hub import Hub
    from .limits import Buckets

NAMES: Final = ("product_id", "device_id", "name", "tag", "patch_id", "request_id", "fanout_id")
"""Parts of paths that must be names."""
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="fleetlog"'}


class Caller(msgspec.Struct, frozen=True):
    """The application that calls, by its API key."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    products: frozenset[str] | None
    """None: all."""

    def knows(self, product_id: str) -> bool:
        return self.products is None or product_id in self.products


def authenticate(header: str, find: Callable[[str], ApiKeyDocument | None], now: int) -> Caller:
    """Find who shows this ``Authorization`` header. Raises `Problem`, the same for every reason but a missing key.

    ``find``: the document of a key id. ``now``: milliseconds.
    """
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise Problem("unauthorized", "the request carries no API key", headers=CHALLENGE)
    try:
        key_id, secret = keys.parse(text.strip())
    except keys.InvalidKey as error:
        raise _refused() from error
    document = find(key_id)
    if document is None or not keys.matches(secret, document.hash):
        raise _refused()
    if document.expires_at is not None and document.expires_at <= now:
        raise _refused()
    products = None if document.products is None else frozenset(document.products)
    return Caller(document.key_id, document.name, frozenset(document.scopes), products)


def _refused() -> Problem:
    return Problem("unauthorized", "the API key is not known, or has expired", headers=CHALLENGE)


class Gatekeeper:
    """Lets a request in, or raises `Problem`: for the key, its rate, its scope and the product in the path."""

    def __init__(self, hub: Hub, buckets: Buckets) -> None:
        self._hub, self._buckets = hub, buckets

    def admit(self, header: str, names: Mapping[str, str], scope: Scope, address: str) -> Caller:
        """``header``: ``Authorization``; ``names``: what the path names; ``address``: of the caller."""
        try:
            caller = authenticate(header, self._document, self._hub.clock())
        except Problem as refused:
            raise self._hub.strangers.problem(address, refused) from refused
        self._buckets.take(caller.key_id)
        if scope not in caller.scopes:
            raise Problem("forbidden", f"the key {caller.name} has no scope {scope}")
        for name in NAMES:
            given = names.get(name)
            if given is not None and not is_name(given):
                raise InvalidName(f"{given!r} is not a name: use 1 to 64 of A-Z a-z 0-9 _ -")
        product_id = names.get("product_id")
        if product_id is not None and not caller.knows(product_id):
            raise unknown_product(product_id)
        return caller

    def _document(self, key_id: str) -> ApiKeyDocument | None:
        return document_of(self._hub, key_id)


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the caller's address, as the nearest proxy that is believed tells it; empty where there is none."""
    return "" if connection.client is None else connection.client.host


def document_of(hub: Hub, key_id: str) -> ApiKeyDocument | None:
    """Find a key as it stands now."""
    return hub.keys.documents.get(f"key:{key_id}".encode())


def still_valid(hub: Hub, caller: Caller) -> bool:
    """Tell whether a key that was let in would be let in now: a stream lasts longer than a request."""
    document = document_of(hub, caller.key_id)
    return document is not None and (document.expires_at is None or hub.clock() < document.expires_at)


def needs(scope: Scope) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """Make the guard of a route: an API key with that scope, which may know of the product in the path."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        gatekeeper: Gatekeeper = connection.app.state.gatekeeper
        header = connection.headers.get("authorization", "")
        connection.state.caller = gatekeeper.admit(header, connection.path_params, scope, address_of(connection))

    guard.scope = scope  # type: ignore[attr-defined]  # for the OpenAPI document
    return guard


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who calls, as the route's guard found. A dependency: ``caller``."""
    caller: Caller = request.state.caller
    return caller
