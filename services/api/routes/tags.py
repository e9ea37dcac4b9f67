"""``.../devices/{device_id}/tags``: the groups that a device belongs to."""

from __future__ import annotations

from litestar import Response, Router, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from libs.topics.messages.registry import AddTags, RemoveTags, SetTags
from services.api import examples
from services.api.access import needs
from services.api.asking import Asker
from services.api.conditions import expected_version, versioned
from services.api.describe import described
from services.api.devices import decide_tags
from services.api.documents import DeviceTags, TagsBody
from services.api.params import DeviceId, IfMatch, ProductId

OPTIONS = described(
    problems=("unknown_product", "unknown_device", "version_conflict", "invalid_header"),
    request=examples.TAGS,
    answer=examples.DEVICE_TAGS,
    versioned=True,
)


@put("", summary="Replace a device's tags", operation_id="set_tags", guards=[needs("admin")], opt=OPTIONS)
async def set_tags(
    data: JSONBody[TagsBody],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    if_match: IfMatch = None,
) -> Response[DeviceTags]:
    """Replace all tags. The ETag is `tags_version`."""
    expected = expected_version(if_match, data.expected_version)
    return shown(await decide_tags(asker, SetTags(product_id, device_id, data.tags, expected, **asker.stamp())))


@post(
    "/:add",
    summary="Add tags to a device",
    operation_id="add_tags",
    guards=[needs("admin")],
    status_code=200,
    opt=OPTIONS,
)
async def add_tags(
    data: JSONBody[TagsBody],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    if_match: IfMatch = None,
) -> Response[DeviceTags]:
    """Add tags; those that the device has already change nothing."""
    expected = expected_version(if_match, data.expected_version)
    return shown(await decide_tags(asker, AddTags(product_id, device_id, data.tags, expected, **asker.stamp())))


@post(
    "/:remove",
    summary="Take tags from a device",
    operation_id="remove_tags",
    guards=[needs("admin")],
    status_code=200,
    opt=OPTIONS,
)
async def remove_tags(
    data: JSONBody[TagsBody],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    if_match: IfMatch = None,
) -> Response[DeviceTags]:
    """Take tags away; those that the device has not change nothing."""
    expected = expected_version(if_match, data.expected_version)
    return shown(await decide_tags(asker, RemoveTags(product_id, device_id, data.tags, expected, **asker.stamp())))


def shown(tags: DeviceTags) -> Response[DeviceTags]:
    return versioned(tags, tags.tags_version)


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}/tags",
    route_handlers=[set_tags, add_tags, remove_tags],
    tags=["tags"],
)
