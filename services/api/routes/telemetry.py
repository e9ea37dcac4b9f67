"""What devices have sent, from ClickHouse."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from services.api import examples, telemetry
from services.api.access import needs
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import DeviceEvent, Page, Series
from services.api.hub import Hub
from services.api.moments import span
from services.api.params import NAME, Begin, Cursor, DeviceId, End, Limit, ProductId
from services.api.presence import place_of, written
from services.api.products import find
from services.api.queries import About

DAY = 24 * 3600 * 1000
Device = Annotated[
    str, QueryParameter(pattern=NAME, description="Id of the device.", examples=[Example(value="press-1")])
]
Key = Annotated[
    str,
    QueryParameter(
        min_length=1,
        max_length=256,
        description="Path of the value in the payload.",
        examples=[Example(value="engine.rpm")],
    ),
]
Step = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=366 * 24 * 3600, description="Seconds that are told as one point; without it, single values."
    ),
]
Type = Annotated[
    str | None,
    QueryParameter(
        name="type", pattern=NAME, description="Only uploads of this data type.", examples=[Example(value="weather")]
    ),
]


@get(
    "/v1/products/{product_id:str}/telemetry",
    summary="Read a series of values",
    operation_id="get_telemetry",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "too_much"), answer=examples.SERIES),
)
async def get_telemetry(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device: Device,
    key: Key,
    begin: Begin = None,
    end: End = None,
    step: Step = None,
) -> Series:
    """Read the numbers that a device sent under one key, the oldest first: of the last day, unless told otherwise.

    With `step`, mean, least, most and count of each step in which there are values. At most 10,000 points are told;
    where there are more it is `too_much`.
    """
    find(hub, product_id)
    about = About(product_id, device, *span(begin, end, hub.clock(), DAY))
    return await telemetry.series(hub, about, key, step)


@get(
    "/v1/products/{product_id:str}/devices/{device_id:str}/events",
    summary="List what a device has sent",
    operation_id="list_device_events",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_product", "invalid_cursor", "too_much"),
        answer=Page([examples.DEVICE_EVENT], "MTc2MDAwMDAwMDAwMC4yLjE3"),
    ),
)
async def list_device_events(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    data_type: Type = None,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DeviceEvent]:
    """List a device's messages as they came, the newest first: those of the last day, unless told otherwise."""
    find(hub, product_id)
    about = About(product_id, device_id, *span(begin, end, hub.clock(), DAY))
    items, last = await telemetry.events(hub, about, data_type, place_of(position(cursor)), limit)
    return Page(items, next_cursor(written(last)))


router = Router("/", route_handlers=[get_telemetry, list_device_events], tags=["telemetry"])
