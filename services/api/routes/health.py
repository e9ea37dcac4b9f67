"""``/health/live`` and ``/health/ready``, for balancers that see only the API's own port."""

from __future__ import annotations

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency

from services.api.hub import Hub


class Health(msgspec.Struct, frozen=True):
    ok: bool


@get("/live", summary="Is the process alive?", operation_id="health_live")
async def live() -> Health:
    """Answer at all: the event loop turns."""
    return Health(ok=True)


@get("/ready", summary="Can it work?", operation_id="health_ready")
async def ready(hub: NamedDependency[Hub]) -> Response[Health]:
    """200, or 503 before everything is read and while the process ends."""
    return Response(Health(hub.ready), status_code=200 if hub.ready else 503)


router = Router("/health", route_handlers=[live, ready], tags=["health"])
