"""``/openapi.json`` and, for people, ``/docs``: made from the routes when they are first asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router, get

from services.api.openapi import document
from services.api.page import page


@get("/openapi.json")
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with the OpenAPI document."""
    return Response(_written(request.app)[0], media_type="application/json")


@get("/docs")
async def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with the same document as a page."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(_written(request.app)[1], media_type="text/html; charset=utf-8", headers=headers)


@lru_cache(maxsize=1)
def _written(app: Litestar) -> tuple[bytes, bytes]:
    found = document(app)
    return msgspec.json.encode(found), page(found).encode()


router = Router("/", route_handlers=[openapi, docs])
