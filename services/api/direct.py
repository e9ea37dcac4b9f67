"""The three calls that are made most often, answered without the framework, whose own work is more than theirs.

A request in its plain form is answered here: its path as it is written, no query, and of a patch a small body that can
be read, without conditions. Whatever is said in another way goes to the handlers in `routes`, which the OpenAPI
document is made of; a test holds the two ways against each other.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from . import presence, shadow
from .asking import Asker
from .bodies import JSON as BODIES
from .bodies import LEVELS, deeper
from .conditions import etag
from .devices import detail
from .problems import MEDIA_TYPE, as_problem, late
from .shadow_id import ShadowId

if TYPE_CHECKING:
    from litestar.types import HTTPReceiveMessage, HTTPScope, Receive, Send

    from libs.topics.messages.registry import Scope

    from .access import Caller, Gatekeeper
    from .hub import Hub

DEVICE: Final = "/v1/products/{product_id}/devices/{device_id}"
PRESENCE: Final = f"{DEVICE}/presence"
SHADOW: Final = f"{DEVICE}/shadow"
TEMPLATES: Final = {None: DEVICE, "/presence": PRESENCE, "/shadow": SHADOW}
METHODS: Final = {None: "GET", "/presence": "GET", "/shadow": "PATCH"}
"""How each is asked for, by the end of its path."""
PATH: Final = re.compile(
    r"/v1/products/(?P<product_id>[A-Za-z0-9_-]{1,64})/devices/(?P<device_id>[A-Za-z0-9_-]{1,64})(/presence|/shadow)?"
)
HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
"""Not all that may stand there: of other hosts the framework judges."""
JSON: Final = "application/json"
PATCHES: Final = frozenset(kind.encode() for kind in BODIES)
CONDITIONS: Final = (b"if-match", b"idempotency-key")
LARGEST: Final = 65_536
"""Bytes of a patch's body: twice what a shadow can hold. It is read before the caller is known."""
LENGTH: Final = re.compile(rb"[0-9]{1,5}")

_patch: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Direct:
    """``deadline``: seconds for one answer."""

    def __init__(self, hub: Hub, gatekeeper: Gatekeeper, deadline: float) -> None:
        self._hub, self._gatekeeper, self._deadline = hub, gatekeeper, deadline

    def find(self, scope: HTTPScope) -> re.Match[str] | None:
        """Return the names in the path of such a call; None: it is none."""
        if scope["query_string"] or scope.get("root_path"):
            return None
        found = PATH.fullmatch(scope["path"])
        if found is None or scope["method"] != METHODS[found[3]] or not HOST.fullmatch(_header(scope, b"host")):
            return None
        return found if scope["method"] == "GET" or _is_plain(scope) else None

    async def answer(
        self, scope: HTTPScope, found: re.Match[str], request_id: str, receive: Receive, send: Send
    ) -> Receive | None:
        """Answer as the framework would with the handlers and guards of `routes`.

        Returns None; or, where a body is not what it should be, what the framework must receive to say so.
        """
        patch: dict[str, Any] | None = None
        if scope["method"] == "PATCH":
            messages = await _messages(receive)
            patch = _read(messages)
            if patch is None:
                return _again(messages, receive)
        scope["path_template"] = TEMPLATES[found[3]]
        try:
            body, headers = await self._made(scope, found, patch)
            status, media_type = 200, JSON
        except Exception as error:  # noqa: BLE001 - told as a problem, and in the log where it is the hub's own fault
            problem, document = as_problem(error, scope["method"], scope["path"], request_id)
            status, headers, media_type = problem.status, problem.headers, MEDIA_TYPE
            body = msgspec.json.encode(document)
        told = {**headers, "content-type": media_type, "content-length": str(len(body))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return None

    async def _made(
        self, scope: HTTPScope, found: re.Match[str], patch: dict[str, Any] | None
    ) -> tuple[bytes, dict[str, str]]:
        product_id, device_id = found[1], found[2]
        caller = self._admit(scope, found, "read" if patch is None else "command")
        try:
            async with asyncio.timeout(self._deadline):
                if patch is not None:
                    asker = Asker(self._hub, caller, None)
                    asked = shadow.request(asker, ShadowId(product_id, device_id), "merge", None, patch)
                    changed = await shadow.change(asker, asked)
                    return msgspec.json.encode(changed), {"ETag": etag(changed.version)}
                if found[3]:
                    return msgspec.json.encode(await presence.now(self._hub, product_id, device_id)), {}
                device = await detail(self._hub, product_id, device_id)
                return msgspec.json.encode(device), {"ETag": etag(device.version)}
        except TimeoutError as error:
            raise late(self._deadline) from error

    def _admit(self, scope: HTTPScope, found: re.Match[str], wanted: Scope) -> Caller:
        shown = _header(scope, b"authorization").decode("latin-1")
        client = scope["client"]
        address = "" if client is None else client[0]
        names = {"product_id": found[1], "device_id": found[2]}
        caller = scope["state"]["caller"] = self._gatekeeper.admit(shown, names, wanted, address)
        return caller


def _is_plain(scope: HTTPScope) -> bool:
    """Tell whether a patch is unconditional, of a known length that is not large, and of a type that is taken."""
    headers = list(scope["headers"])
    given = dict(headers)
    if len(given) != len(headers) or any(name in given for name in CONDITIONS):
        return False
    length = given.get(b"content-length", b"")
    return (
        LENGTH.fullmatch(length) is not None and int(length) <= LARGEST and given.get(b"content-type", b"") in PATCHES
    )


async def _messages(receive: Receive) -> list[HTTPReceiveMessage]:
    """Return the body as it comes; the last one may tell that the caller has gone."""
    messages: list[Any] = []
    while not messages or messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _read(messages: list[HTTPReceiveMessage]) -> dict[str, Any] | None:
    """Return the merge patch; None: there is none, or it is wrong."""
    if messages[-1]["type"] != "http.request":
        return None
    body = b"".join([message["body"] for message in messages if message["type"] == "http.request"])
    try:
        patch = _patch(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if deeper(body, LEVELS) else patch


def _again(messages: list[HTTPReceiveMessage], receive: Receive) -> Receive:
    """Let what was received be received once more, and then what follows."""
    left = iter(messages)

    async def replayed() -> Any:
        return next(left, None) or await receive()

    return replayed


def _header(scope: HTTPScope, wanted: bytes) -> bytes:
    """Return the first header of that name; empty: there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return b""
