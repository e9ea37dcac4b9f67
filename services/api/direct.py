"""The calls that are made most often, answered without the framework, whose own work is more than theirs.

A request in its plain form is answered here: its path as it is written, no query, and where it has a body, a small one
that can be read, without conditions. Whatever is said in another way goes to the handlers in `routes`, which the
OpenAPI document is made of; tests hold the two ways against each other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from libs.topics.messages.registry import Scope

from . import commands, presence, shadow
from .asking import Asker
from .bodies import JSON as BODIES
from .bodies import LEVELS, deeper
from .command_documents import NewCommand, NewRpc
from .conditions import etag
from .devices import detail
from .problems import MEDIA_TYPE, as_problem, late
from .shadow_id import ShadowId

if TYPE_CHECKING:
    from litestar.types import HTTPReceiveMessage, HTTPScope, Receive, Send

    from .access import Caller, Gatekeeper
    from .hub import Hub

Fits: TypeAlias = Callable[[bytes], Any]


class Call(NamedTuple):
    """How a call is made. ``fits``: reads its body, and raises where that is not as it should be; None: it has none."""

    method: str
    template: str
    scope: Scope
    fits: Fits | None = None


DEVICE: Final = "/v1/products/{product_id}/devices/{device_id}"
PRESENCE: Final = f"{DEVICE}/presence"
SHADOW: Final = f"{DEVICE}/shadow"
COMMANDS: Final = f"{DEVICE}/commands"
RPC: Final = f"{DEVICE}/rpc"
CALLS: Final = {
    None: Call("GET", DEVICE, "read"),
    "/presence": Call("GET", PRESENCE, "read"),
    "/shadow": Call("PATCH", SHADOW, "command", msgspec.json.Decoder(dict[str, Any]).decode),
    "/commands": Call("POST", COMMANDS, "command", msgspec.json.Decoder(NewCommand).decode),
    "/rpc": Call("POST", RPC, "command", msgspec.json.Decoder(NewRpc).decode),
}
"""By the end of the path."""
PATH: Final = re.compile(
    r"/v1/products/(?P<product_id>[A-Za-z0-9_-]{1,64})/devices/(?P<device_id>[A-Za-z0-9_-]{1,64})"
    r"(/presence|/shadow|/commands|/rpc)?"
)
HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
"""Not all that may stand there: of other hosts the framework judges."""
JSON: Final = "application/json"
TAKEN: Final = frozenset(kind.encode() for kind in BODIES)
CONDITIONS: Final = (b"if-match", b"idempotency-key")
LARGEST: Final = 65_536
"""Bytes of a body: twice what a shadow can hold, and most commands. It is read before the caller is known."""
LENGTH: Final = re.compile(rb"[0-9]{1,5}")


class Given(NamedTuple):
    """A body that fits, and as it was written."""

    said: Any
    written: bytes


class Made(NamedTuple):
    """An answer."""

    status: int
    document: Any
    headers: dict[str, str]


class Direct:
    """``deadline``: seconds for one answer."""

    def __init__(self, hub: Hub, gatekeeper: Gatekeeper, deadline: float) -> None:
        self._hub, self._gatekeeper, self._deadline = hub, gatekeeper, deadline

    def find(self, scope: HTTPScope) -> re.Match[str] | None:
        """Return the names in the path of such a call; None: it is none."""
        if scope["query_string"] or scope.get("root_path"):
            return None
        found = PATH.fullmatch(scope["path"])
        if found is None or not HOST.fullmatch(_header(scope, b"host")):
            return None
        call = CALLS[found[3]]
        return found if scope["method"] == call.method and (call.fits is None or _is_plain(scope)) else None

    async def answer(
        self, scope: HTTPScope, found: re.Match[str], request_id: str, receive: Receive, send: Send
    ) -> Receive | None:
        """Answer as the framework would with the handlers and guards of `routes`.

        Returns None; or, where a body is not what it should be, what the framework must receive to say so.
        """
        call, given = CALLS[found[3]], None
        if call.fits is not None:
            messages = await _messages(receive)
            given = _read(messages, call.fits)
            if given is None:
                return _again(messages, receive)
        scope["path_template"] = call.template
        try:
            status, made, headers = await self._made(scope, found, given)
            media_type, body = JSON, msgspec.json.encode(made)
        except Exception as error:  # noqa: BLE001 - told as a problem, and in the log where it is the hub's own fault
            problem, document = as_problem(error, scope["method"], scope["path"], request_id)
            status, headers, media_type = problem.status, problem.headers, MEDIA_TYPE
            body = msgspec.json.encode(document)
        told = {**headers, "content-type": media_type, "content-length": str(len(body))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return None

    async def _made(self, scope: HTTPScope, found: re.Match[str], given: Given | None) -> Made:
        ids = found[1], found[2]
        caller = self._admit(scope, found, CALLS[found[3]].scope)
        seconds = self._deadline
        if given is not None and found[3] == "/rpc":
            seconds += given.said.timeout_s + commands.GRACE_S
        try:
            async with asyncio.timeout(seconds):
                if given is not None:
                    return await _done(Asker(self._hub, caller, None), found[3], *ids, given)
                if found[3]:
                    return Made(200, await presence.now(self._hub, *ids), {})
                device = await detail(self._hub, *ids)
                return Made(200, device, {"ETag": etag(device.version)})
        except TimeoutError as error:
            raise late(seconds) from error

    def _admit(self, scope: HTTPScope, found: re.Match[str], wanted: Scope) -> Caller:
        shown = _header(scope, b"authorization").decode("latin-1")
        client = scope["client"]
        address = "" if client is None else client[0]
        names = {"product_id": found[1], "device_id": found[2]}
        caller = scope["state"]["caller"] = self._gatekeeper.admit(shown, names, wanted, address)
        return caller


async def _done(asker: Asker, end: str, product_id: str, device_id: str, given: Given) -> Made:
    """Do what is asked for by a body. ``end``: of the path."""
    if end == "/shadow":
        asked = shadow.request(asker, ShadowId(product_id, device_id), "merge", None, given.said)
        changed = await shadow.change(asker, asked)
        return Made(200, changed, {"ETag": etag(changed.version)})
    if end == "/rpc":
        command, status = await commands.call(asker, product_id, device_id, *given), 200
    else:
        command, status = await commands.send(asker, product_id, device_id, *given), 202
    return Made(status, command, {"Location": commands.location(command)})


def _is_plain(scope: HTTPScope) -> bool:
    """Tell whether a body is unconditional, of a known length that is not large, and of a type that is taken."""
    headers = list(scope["headers"])
    given = dict(headers)
    if len(given) != len(headers) or any(name in given for name in CONDITIONS):
        return False
    length = given.get(b"content-length", b"")
    return LENGTH.fullmatch(length) is not None and int(length) <= LARGEST and given.get(b"content-type", b"") in TAKEN


async def _messages(receive: Receive) -> list[HTTPReceiveMessage]:
    """Return the body as it comes; the last one may tell that the caller has gone."""
    messages: list[Any] = []
    while not messages or messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _read(messages: list[HTTPReceiveMessage], fits: Fits) -> Given | None:
    """Return the body; None: there is none, or it is wrong."""
    if messages[-1]["type"] != "http.request":
        return None
    body = b"".join([message["body"] for message in messages if message["type"] == "http.request"])
    try:
        said = fits(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if deeper(body, LEVELS) else Given(said, body)


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
