"""Who is connected, and who was."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import JSONBody, QueryParameter

from services.api import examples, presence
from services.api.access import Caller, needs
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import (
    DevicePresence,
    Page,
    PresenceBatch,
    PresenceBatchAnswer,
    PresenceCounts,
    Transition,
)
from services.api.hub import Hub
from services.api.moments import moment, span
from services.api.params import Begin, Cursor, DeviceId, End, Limit, ProductId
from services.api.products import find
from services.api.queries import About

MONTH = 30 * 24 * 3600 * 1000
At = Annotated[
    str | None,
    QueryParameter(
        name="at",
        description="A moment of the last 400 days, as Unix milliseconds or RFC 3339; without it, now.",
        examples=[Example(value="2026-01-31T12:00:00Z")],
    ),
]


@get(
    "/v1/products/{product_id:str}/devices/{device_id:str}/presence",
    summary="Is a device online, or was it?",
    operation_id="get_presence",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "unknown_device", "invalid_request"), answer=examples.PRESENCE),
)
async def get_presence(
    hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId, at: At = None
) -> DevicePresence:
    """Read a device's session, its last traffic and its last probe.

    With `at`, the session's state at that moment as it is known now, also of a device that was deleted since. Without
    a change before that moment it is `offline` since null.
    """
    if at is None:
        return await presence.now(hub, product_id, device_id)
    find(hub, product_id)
    return await presence.then(hub, product_id, device_id, moment(at, "at"))


@get(
    "/v1/products/{product_id:str}/devices/{device_id:str}/presence/history",
    summary="List when a device came and went",
    operation_id="list_transitions",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_product", "invalid_cursor", "too_much"),
        answer=Page([examples.TRANSITION], "MTc2MDAwMDAwMDAwMC4yLjE3"),
    ),
)
async def list_transitions(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Transition]:
    """List the changes of a device's session, the newest first: those of the last 30 days, unless told otherwise.

    It has the past of devices that were deleted, too; what has just happened may be missing for a moment.
    """
    find(hub, product_id)
    about = About(product_id, device_id, *span(begin, end, hub.clock(), MONTH))
    items, last = await presence.transitions(hub, about, presence.place_of(position(cursor)), limit)
    return Page(items, next_cursor(presence.written(last)))


@post(
    "/v1/presence/:batch",
    summary="Read the presence of many devices",
    operation_id="batch_presence",
    guards=[needs("read")],
    status_code=200,
    opt=described(request=examples.PRESENCE_BATCH, answer=examples.PRESENCE_BATCH_ANSWER, idempotent=False),
)
async def batch_presence(
    data: JSONBody[PresenceBatch], hub: NamedDependency[Hub], caller: NamedDependency[Caller]
) -> PresenceBatchAnswer:
    """Ask for up to 1,000 devices at once, also of several products."""
    return await presence.batch(hub, caller, data.devices)


@get(
    "/v1/products/{product_id:str}/presence",
    summary="Count devices by state",
    operation_id="count_presence",
    guards=[needs("read")],
    opt=described(problems=("unknown_product",), answer=PresenceCounts(17, 4, 0)),
)
async def count_presence(hub: NamedDependency[Hub], product_id: ProductId) -> PresenceCounts:
    """Count the devices of a product that were ever heard of by the state of their session."""
    find(hub, product_id)
    return await presence.counts(hub, product_id)


router = Router("/", route_handlers=[get_presence, list_transitions, batch_presence, count_presence], tags=["presence"])
