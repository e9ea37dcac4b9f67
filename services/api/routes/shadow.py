"""``.../devices/{device_id}/shadow`` and ``.../status``: a device's own shadow, and the last status it reported."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.api import examples, shadow
from services.api.access import needs
from services.api.asking import Asker
from services.api.conditions import expected_version, unless_same
from services.api.describe import described
from services.api.gate import OWN_DEADLINE
from services.api.hub import Hub
from services.api.params import DeviceId, IfMatch, IfNoneMatch, ProductId
from services.api.shadow_calls import ABOUT, CHANGING, TOO_MUCH, At, Version, Wait, changed, merged, read
from services.api.shadow_documents import Shadow, Status
from services.api.shadow_id import ShadowId


@get(
    "/shadow",
    summary="Read a device's shadow",
    operation_id="get_shadow",
    guards=[needs("read")],
    opt=described(
        problems=(*ABOUT, "unknown_version", "version_not_stored_yet", "too_much"),
        answer=examples.SHADOW,
        versioned=True,
        also=(304,),
    ),
)
async def get_shadow(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    version: Version = None,
    at: At = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Shadow]:
    """Read what a device should be and what it says that it is: now, or as it was at a version or a moment.

    Where nothing was said of it yet, the document is empty. A version that was made a moment ago may not be stored
    yet: that is 503 `version_not_stored_yet`.
    """
    found = await read(hub, ShadowId(product_id, device_id), version, at)
    return unless_same(found, found.version, if_none_match)


@patch(
    "/shadow",
    summary="Change what a device should be",
    operation_id="change_shadow",
    guards=[needs("command")],
    opt={
        OWN_DEADLINE: True,
        **described(
            problems=(*CHANGING, *TOO_MUCH),
            request=examples.SHADOW_PATCH,
            answer=examples.SHADOW,
            versioned=True,
            accepted=True,
        ),
    },
)
async def change_shadow(
    data: JSONBody[dict[str, Any]],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    wait: Wait = None,
    if_match: IfMatch = None,
) -> Response[Shadow]:
    """Merge into desired (a merge patch): what is given is set, null removes it, arrays are replaced whole.

    With `wait` the answer is 200 as soon as the device has reported all that the patch set, and 202 with the document
    as it is when the time is over, or when a later change has overridden it. Without `wait` it is 200 at once.
    """
    asked = shadow.request(asker, ShadowId(product_id, device_id), "merge", expected_version(if_match), data)
    return await merged(asker, asked, data, wait)


@put(
    "/shadow",
    summary="Replace what a device should be",
    operation_id="replace_shadow",
    guards=[needs("command")],
    opt=described(
        problems=(*CHANGING, *TOO_MUCH), request=examples.SHADOW_DESIRED, answer=examples.SHADOW, versioned=True
    ),
)
async def replace_shadow(
    data: JSONBody[dict[str, Any]],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    if_match: IfMatch = None,
) -> Response[Shadow]:
    """Put desired whole; what was desired before and is not given is desired no more."""
    asked = shadow.request(asker, ShadowId(product_id, device_id), "replace", expected_version(if_match), data)
    return await changed(asker, asked)


@post(
    "/shadow/:clear",
    summary="Desire nothing of a device",
    operation_id="clear_shadow",
    guards=[needs("command")],
    status_code=200,
    opt=described(problems=CHANGING, answer=examples.CLEARED_SHADOW, versioned=True),
)
async def clear_shadow(
    asker: NamedDependency[Asker], product_id: ProductId, device_id: DeviceId, if_match: IfMatch = None
) -> Response[Shadow]:
    """Empty desired. What the device has reported stays."""
    asked = shadow.request(asker, ShadowId(product_id, device_id), "clear", expected_version(if_match))
    return await changed(asker, asked)


@delete(
    "/shadow",
    summary="Delete a device's shadow",
    operation_id="delete_shadow",
    guards=[needs("command")],
    opt=described(problems=CHANGING),
)
async def delete_shadow(
    asker: NamedDependency[Asker], product_id: ProductId, device_id: DeviceId, if_match: IfMatch = None
) -> None:
    """Forget desired and reported; the history stays, and versions go on from there."""
    asked = shadow.request(asker, ShadowId(product_id, device_id), "delete", expected_version(if_match))
    await shadow.ask(asker, asked)


@get(
    "/status",
    summary="Read a device's last status",
    operation_id="get_status",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "unknown_device", "unknown_status"), answer=examples.STATUS),
)
async def get_status(hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId) -> Status:
    """Read what the device reported as its status last, and when."""
    return await shadow.status(hub, product_id, device_id)


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}",
    route_handlers=[get_shadow, change_shadow, replace_shadow, clear_shadow, delete_shadow, get_status],
    tags=["shadow"],
)
