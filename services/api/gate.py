"""What every request passes, before a route is known and after its answer is made."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import structlog
from litestar import Litestar

from libs.runtime import logs, metrics

from .problems import late

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from prometheus_client import Counter, Histogram

    from .direct import Direct

log = logs.get(__name__)
LEVEL: Final = logging.getLogger(__name__)
"""Where ``log`` leads: tells at no cost whether a line would be written."""
SLOW_S: Final = 1.0
"""A request that took longer is told of in the log at any rate."""
READING: Final = ("GET", "HEAD", "OPTIONS")

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
VERB: Final = re.compile(r"(.*[^/])(:[a-z-]+)", re.DOTALL)
"""A path whose last segment ends in a custom verb."""
STREAM: Final = "stream"
"""Option of a route whose answer goes on for ever: it has no deadline."""
OWN_DEADLINE: Final = "own_deadline"
"""Option of a route that sees to its deadline itself."""

REQUESTS = metrics.counter(
    "api_requests", "Requests by route, as the OpenAPI document writes it, and status.", ("method", "route", "status")
)
SECONDS = metrics.histogram("api_seconds", "Seconds from a request to the end of its answer.", ("method", "route"))
UNDER_WAY = metrics.gauge("api_requests_under_way", "Requests that are not answered yet, streams included.")


class Api(Litestar):
    """Litestar, behind the gate; and the few calls that are answered without it."""

    def __init__(self, direct: Direct, **framework: Any) -> None:
        super().__init__(**framework)
        self._direct = direct

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        begun, path, status = time.monotonic(), scope["path"], 500
        request_id = _request_id(scope)
        scope["state"] = {"request_id": request_id}

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        UNDER_WAY.inc()
        try:
            found = self._direct.find(scope)
            left = receive if found is None else await self._direct.answer(scope, found, request_id, receive, tell)
            if left is not None:
                await super().__call__(_routed(scope), left, tell)
        finally:
            UNDER_WAY.dec()
            _tell_of(scope, path, status, time.monotonic() - begun)
            structlog.contextvars.reset_contextvars(**bound)


def _tell_of(scope: Any, path: str, status: int, seconds: float) -> None:
    """Count a request, and write it to the log where it is worth a line."""
    method = scope["method"]
    route = public_path(scope.get("path_template", "") if status != 404 else "")
    count, time_of = _counted(method, route, status)
    count.inc()
    time_of.observe(seconds)
    level = level_of(method, status, seconds)
    if LEVEL.isEnabledFor(level):
        caller = getattr(scope["state"].get("caller"), "name", None)
        said = {"method": method, "path": path, "status": status, "caller": caller}
        log.log(level, "request", **said, ms=round(seconds * 1000, 1))


def level_of(method: str, status: int, seconds: float) -> int:
    """Return the log level of a request: reads that went well and fast are for debugging."""
    quiet = method in READING and status < 400 and seconds <= SLOW_S
    return logging.DEBUG if quiet else logging.INFO


@cache
def _counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)


def public_path(template: str) -> str:
    """Write a route as callers do: `_routed` reversed."""
    return template.replace("/:", ":")


def _routed(scope: Scope) -> Scope:
    """Let the router see a custom verb as a segment of its own: it knows whole segments alone."""
    found = VERB.fullmatch(scope["path"])
    if found is not None:
        scope["path"] = f"{found[1]}/{found[2]}"
    elif "/:" in scope["path"]:
        scope["path"] = "/:"  # of the router's own making: no route for anybody else
    return scope


def _request_id(scope: Scope) -> str:
    """Take the caller's own id where it gives a decent one, so that its log and ours can be told together."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if REQUEST_ID.fullmatch(text):
                return text
    return secrets.token_hex(16)


@asynccontextmanager
async def ended_after(seconds: float) -> AsyncIterator[None]:
    """Give what is done here so many seconds. Raises `Problem` ``deadline_exceeded``."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late(seconds) from error


def within(seconds: float) -> Any:
    """Make the middleware that ends a request with a problem when it takes longer than that."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            opt = scope["route_handler"].opt
            if opt.get(STREAM) or opt.get(OWN_DEADLINE):
                await app(scope, receive, send)
                return
            async with ended_after(seconds):
                await app(scope, receive, send)

        return answer

    return middleware
