"""``.../devices/{device_id}/shadows``: named shadows, each a document of its own beside the device's."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.api import examples, shadow
from services.api.access import needs
from services.api.asking import Asker
from services.api.conditions import expected_version, unless_same
from services.api.describe import described
from services.api.documents import Page
from services.api.gate import OWN_DEADLINE
from services.api.hub import Hub
from services.api.params import DeviceId, IfMatch, IfNoneMatch, ProductId, ShadowName
from services.api.shadow_calls import ABOUT, CHANGING, TOO_MUCH, At, Version, Wait, changed, merged, read
from services.api.shadow_documents import Shadow
from services.api.shadow_id import ShadowId

BEGINNING: Final = (*CHANGING, *TOO_MUCH, "unknown_shadow", "too_many_shadows")
"""Codes of changes that may begin a shadow."""


@get(
    "",
    summary="List a device's named shadows",
    operation_id="list_shadows",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "unknown_device"), answer=Page([examples.NAMED_SHADOW], None)),
)
async def list_shadows(hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId) -> Page[Shadow]:
    """List them by name, whole. There are 10 at most, so there is one page."""
    return Page(await shadow.named(hub, product_id, device_id), None)


@get(
    "/{name:str}",
    summary="Read a named shadow",
    operation_id="get_named_shadow",
    guards=[needs("read")],
    opt=described(
        problems=(*ABOUT, "unknown_shadow", "unknown_version", "version_not_stored_yet", "too_much"),
        answer=examples.NAMED_SHADOW,
        versioned=True,
        also=(304,),
    ),
)
async def get_named_shadow(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    version: Version = None,
    at: At = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Shadow]:
    """Read a named shadow: now, or as it was at a version or a moment, also of one that was deleted since."""
    found = await read(hub, ShadowId(product_id, device_id, name), version, at)
    return unless_same(found, found.version, if_none_match)


@patch(
    "/{name:str}",
    summary="Change what is desired in a named shadow",
    operation_id="change_named_shadow",
    guards=[needs("command")],
    opt={
        OWN_DEADLINE: True,
        **described(
            problems=BEGINNING,
            request=examples.SHADOW_PATCH,
            answer=examples.NAMED_SHADOW,
            versioned=True,
            accepted=True,
        ),
    },
)
async def change_named_shadow(
    data: JSONBody[dict[str, Any]],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    wait: Wait = None,
    if_match: IfMatch = None,
) -> Response[Shadow]:
    """Merge into its desired (a merge patch), as of the device's own shadow. The first change begins it."""
    asked = shadow.request(asker, ShadowId(product_id, device_id, name), "merge", expected_version(if_match), data)
    return await merged(asker, asked, data, wait)


@put(
    "/{name:str}",
    summary="Replace what is desired in a named shadow",
    operation_id="replace_named_shadow",
    guards=[needs("command")],
    opt=described(problems=BEGINNING, request=examples.SHADOW_DESIRED, answer=examples.NAMED_SHADOW, versioned=True),
)
async def replace_named_shadow(
    data: JSONBody[dict[str, Any]],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    if_match: IfMatch = None,
) -> Response[Shadow]:
    """Put its desired whole. The first change begins it."""
    asked = shadow.request(asker, ShadowId(product_id, device_id, name), "replace", expected_version(if_match), data)
    return await changed(asker, asked)


@post(
    "/{name:str}/:clear",
    summary="Desire nothing in a named shadow",
    operation_id="clear_named_shadow",
    guards=[needs("command")],
    status_code=200,
    opt=described(problems=(*CHANGING, "unknown_shadow"), answer=examples.NAMED_SHADOW, versioned=True),
)
async def clear_named_shadow(
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    if_match: IfMatch = None,
) -> Response[Shadow]:
    """Empty its desired. What the device has reported stays."""
    asked = shadow.request(asker, ShadowId(product_id, device_id, name), "clear", expected_version(if_match))
    return await changed(asker, asked)


@delete(
    "/{name:str}",
    summary="Delete a named shadow",
    operation_id="delete_named_shadow",
    guards=[needs("command")],
    opt=described(problems=(*CHANGING, "unknown_shadow")),
)
async def delete_named_shadow(
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    name: ShadowName,
    if_match: IfMatch = None,
) -> None:
    """Forget it; its history stays."""
    asked = shadow.request(asker, ShadowId(product_id, device_id, name), "delete", expected_version(if_match))
    await shadow.ask(asker, asked)


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}/shadows",
    route_handlers=[
        list_shadows,
        get_named_shadow,
        change_named_shadow,
        replace_named_shadow,
        clear_named_shadow,
        delete_named_shadow,
    ],
    tags=["shadow"],
)
