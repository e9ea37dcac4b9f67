"""The two reads that are made most often, answered without the framework, whose own work is more than theirs.

A request in its plain form is answered here: its path as it is written, no query. Whatever is said in another way goes
to the handlers in `routes`, which the OpenAPI document is made of; a test holds the two ways against each other.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import msgspec

from . import presence
from .conditions import etag
from .devices import detail
from .problems import MEDIA_TYPE, as_problem, late

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Send

    from .access import Gatekeeper
    from .hub import Hub

DEVICE: Final = "/v1/products/{product_id}/devices/{device_id}"
PRESENCE: Final = f"{DEVICE}/presence"
PATH: Final = re.compile(
    r"/v1/products/(?P<product_id>[A-Za-z0-9_-]{1,64})/devices/(?P<device_id>[A-Za-z0-9_-]{1,64})(/presence)?"
)
HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
"""Not all that may stand there: of other hosts the framework judges."""
JSON: Final = "application/json"


class Direct:
    """``deadline``: seconds for one answer."""

    def __init__(self, hub: Hub, gatekeeper: Gatekeeper, deadline: float) -> None:
        self._hub, self._gatekeeper, self._deadline = hub, gatekeeper, deadline

    def find(self, scope: HTTPScope) -> re.Match[str] | None:
        """Return the names in the path of such a read; None: it is none."""
        if scope["method"] != "GET" or scope["query_string"] or scope.get("root_path"):
            return None
        return PATH.fullmatch(scope["path"]) if HOST.fullmatch(_header(scope, b"host")) else None

    async def answer(self, scope: HTTPScope, found: re.Match[str], request_id: str, send: Send) -> None:
        """Answer as the framework would with the handlers and guards of `routes`."""
        scope["path_template"] = PRESENCE if found[3] else DEVICE
        try:
            body, headers = await self._read(scope, found)
            status, media_type = 200, JSON
        except Exception as error:  # noqa: BLE001 - told as a problem, and in the log where it is the hub's own fault
            problem, document = as_problem(error, scope["method"], scope["path"], request_id)
            status, headers, media_type = problem.status, problem.headers, MEDIA_TYPE
            body = msgspec.json.encode(document)
        told = {**headers, "content-type": media_type, "content-length": str(len(body))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _read(self, scope: HTTPScope, found: re.Match[str]) -> tuple[bytes, dict[str, str]]:
        names = {"product_id": found[1], "device_id": found[2]}
        shown = _header(scope, b"authorization").decode("latin-1")
        client = scope["client"]
        address = "" if client is None else client[0]
        scope["state"]["caller"] = self._gatekeeper.admit(shown, names, "read", address)
        try:
            async with asyncio.timeout(self._deadline):
                if found[3]:
                    return msgspec.json.encode(await presence.now(self._hub, **names)), {}
                device = await detail(self._hub, **names)
                return msgspec.json.encode(device), {"ETag": etag(device.version)}
        except TimeoutError as error:
            raise late(self._deadline) from error


def _header(scope: HTTPScope, wanted: bytes) -> bytes:
    """Return the first header of that name; empty: there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return b""
