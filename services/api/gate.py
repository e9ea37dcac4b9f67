"""What every request passes, before a route is known and after its answer is made."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import structlog
from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders

from libs.runtime import logs, metrics

from .problems import busy

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = logs.get(__name__)

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
VERB: Final = re.compile(r"(.*[^/])(:[a-z-]+)")
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
    """Litestar, behind the gate."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        begun, path, status = time.monotonic(), scope["path"], 500
        request_id = _request_id(scope)
        scope["state"] = {"request_id": request_id}
        with structlog.contextvars.bound_contextvars(request_id=request_id), UNDER_WAY.track_inprogress():

            async def tell(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    MutableScopeHeaders.from_message(message)["x-request-id"] = request_id
                await send(message)

            try:
                await super().__call__(_routed(scope), receive, tell)
            finally:
                route = public_path(scope.get("path_template", "") if status != 404 else "")
                seconds = time.monotonic() - begun
                REQUESTS.labels(scope["method"], route, str(status)).inc()
                SECONDS.labels(scope["method"], route).observe(seconds)
                caller = getattr(scope["state"].get("caller"), "name", None)
                said = {"method": scope["method"], "path": path, "status": status, "caller": caller}
                log.info("request", **said, ms=round(seconds * 1000, 1))


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
    return uuid.uuid4().hex


def within(seconds: float) -> Any:
    """Make the middleware that ends a request with a problem when it takes longer than that."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            opt = scope["route_handler"].opt
            if opt.get(STREAM) or opt.get(OWN_DEADLINE):
                await app(scope, receive, send)
                return
            try:
                async with asyncio.timeout(seconds):
                    await app(scope, receive, send)
            except TimeoutError as error:
                raise busy("deadline_exceeded", f"no answer could be made within {seconds:g} s") from error

        return answer

    return middleware
