"""``.../shadow/history`` and ``.../shadow/diff``, also of named shadows: from ClickHouse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from services.api import examples, shadow_past
from services.api.access import needs
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import Page
from services.api.hub import Hub
from services.api.moments import span
from services.api.params import Begin, Cursor, DeviceId, End, Limit, ProductId, ShadowName
from services.api.presence import place_of, written
from services.api.products import find
from services.api.queries import About
from services.api.shadow_calls import MOST_VERSIONS
from services.api.shadow_diff import difference
from services.api.shadow_documents import ShadowChange, ShadowDiff, ShadowRefusal
from services.api.shadow_id import ShadowId
from services.api.shadow_past import Past

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis

MONTH: Final = 30 * 24 * 3600 * 1000
LISTED: Final = described(
    problems=("unknown_product", "invalid_cursor", "too_much"),
    answer=Page([examples.SHADOW_REFUSAL, examples.SHADOW_CHANGE], "MTc2MDAwMDAwMDAwMC4yLjE3"),
)
COMPARED: Final = described(
    problems=("unknown_product", "unknown_device", "unknown_version", "version_not_stored_yet", "too_much"),
    answer=examples.SHADOW_DIFF,
)
Older: TypeAlias = Annotated[
    int,
    QueryParameter(
        name="from", ge=0, le=MOST_VERSIONS, description="The version to begin with.", examples=[Example(value=3)]
    ),
]
Newer: TypeAlias = Annotated[
    int,
    QueryParameter(
        name="to", ge=0, le=MOST_VERSIONS, description="The version to compare it with.", examples=[Example(value=4)]
    ),
]
Item: TypeAlias = ShadowChange | ShadowRefusal


@get("/shadow/history", summary="List a shadow's changes", operation_id="list_shadow_changes", opt=LISTED)
async def list_shadow_changes(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Item]:
    """List who changed a shadow, when and how, and what was refused, the newest first.

    Those of the last 30 days, unless told otherwise; it is kept for ever, also of devices that were deleted. What has
    just happened may be missing for a moment.
    """
    return await _page(hub, About(product_id, device_id, *_span(hub, begin, end)), None, limit, cursor)


@get("/shadow/diff", summary="Compare two versions of a shadow", operation_id="compare_shadow_versions", opt=COMPARED)
async def compare_shadow_versions(
    hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId, older: Older, newer: Newer
) -> ShadowDiff:
    """Tell field by field in what they differ."""
    return await _diff(Past(hub, ShadowId(product_id, device_id)), older, newer)


@get(
    "/shadows/{name:str}/history",
    summary="List a named shadow's changes",
    operation_id="list_named_shadow_changes",
    opt=LISTED,
)
async def list_named_shadow_changes(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Item]:
    """List its changes and refusals, as of the device's own shadow."""
    return await _page(hub, About(product_id, device_id, *_span(hub, begin, end)), name, limit, cursor)


@get(
    "/shadows/{name:str}/diff",
    summary="Compare two versions of a named shadow",
    operation_id="compare_named_shadow_versions",
    opt=COMPARED,
)
async def compare_named_shadow_versions(
    hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId, name: ShadowName, older: Older, newer: Newer
) -> ShadowDiff:
    """Tell field by field in what they differ."""
    return await _diff(Past(hub, ShadowId(product_id, device_id, name)), older, newer)


def _span(hub: Hub, begin: str | None, end: str | None) -> tuple[Millis, Millis]:
    return span(begin, end, hub.clock(), MONTH)


async def _page(hub: Hub, about: About, name: str | None, limit: int, cursor: str | None) -> Page[Item]:
    find(hub, about.product_id)
    items, last = await shadow_past.page(hub, about, name, place_of(position(cursor)), limit)
    return Page(items, next_cursor(written(last)))


async def _diff(past: Past, older: int, newer: int) -> ShadowDiff:
    old, new = await asyncio.gather(past.at_version(older), past.at_version(newer))
    return difference(old, new)


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}",
    route_handlers=[
        list_shadow_changes,
        compare_shadow_versions,
        list_named_shadow_changes,
        compare_named_shadow_versions,
    ],
    guards=[needs("read")],
    tags=["shadow"],
)
