"""``/v1/products/{product_id}/devices``: devices, one by one."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import JSONBody, QueryParameter

from libs.topics.identity import device_key
from libs.topics.messages.registry import DeleteDevice, DisableDevice, EnableDevice, RotateSecret
from libs.topics.names import REGISTRY_INBOX
from services.api import credentials, examples
from services.api.access import needs
from services.api.asking import Asker
from services.api.conditions import expected_version, next_cursor, position, versioned
from services.api.describe import described
from services.api.devices import change_attributes, decide, detail, page, present, registration, with_secret
from services.api.documents import (
    Device,
    DeviceDetail,
    DevicePatch,
    DeviceWithSecret,
    NewDevice,
    Page,
    Rotation,
)
from services.api.hub import Hub
from services.api.params import NAME, Cursor, DeviceId, IfMatch, Limit, Prefix, ProductId
from services.api.products import find

ABOUT_ONE: Final = ("unknown_product", "unknown_device", "version_conflict", "invalid_header")
Tag = Annotated[
    str | None, QueryParameter(pattern=NAME, description="Only devices with it.", examples=[Example(value="hall-2")])
]
Online = Annotated[
    bool | None,
    QueryParameter(
        description="Only devices that are online, or only those that are not. A page may then hold fewer items than "
        "`limit`, even none, and yet not be the last one.",
    ),
]


@post(
    "",
    summary="Register a device",
    operation_id="register_device",
    guards=[needs("admin")],
    opt=described(
        problems=("unknown_product", "product_closing", "device_exists", "reserved_name"),
        request=examples.NEW_DEVICE,
        answer=examples.DEVICE_WITH_SECRET,
        versioned=True,
    ),
)
async def register_device(
    data: JSONBody[NewDevice], asker: NamedDependency[Asker], product_id: ProductId
) -> Response[DeviceWithSecret]:
    """Register a device. Its secret is in this answer and in no other; the hub keeps a hash of it."""
    device_id = data.device_id or asker.device_id(product_id)
    request, secret = registration(
        asker, product_id, device_id, tags=data.tags, attributes=data.attributes, origin="application"
    )
    device = with_secret(asker, await decide(asker, request), request.credential, secret)
    return versioned(device, device.version, 201)


@get(
    "",
    summary="List devices",
    operation_id="list_devices",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_product", "invalid_cursor"), answer=Page([examples.DEVICE], "cGxhbnQtNy9wcmVzcy0x")
    ),
)
async def list_devices(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    tag: Tag = None,
    prefix: Prefix = "",
    online: Online = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Device]:
    """List devices of a product by id."""
    begin = position(cursor)
    find(hub, product_id)
    devices, end = await page(hub, product_id, tag=tag, prefix=prefix, begin=begin, limit=limit)
    if online is not None and devices:
        here = await present(hub, devices)
        devices = [device for device in devices if (device.device_id in here) is online]
    return Page(devices, next_cursor(end))


@get(
    "/{device_id:str}",
    summary="Read a device",
    operation_id="get_device",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "unknown_device"), answer=examples.DEVICE_DETAIL, versioned=True),
)
async def get_device(hub: NamedDependency[Hub], product_id: ProductId, device_id: DeviceId) -> Response[DeviceDetail]:
    """Read what is registered about a device, and what is known of it now.

    The ETag is the version of the registered part; presence changes without it.
    """
    document = await detail(hub, product_id, device_id)
    return versioned(document, document.version)


@patch(
    "/{device_id:str}",
    summary="Change a device's attributes",
    operation_id="change_device",
    guards=[needs("admin")],
    opt=described(problems=ABOUT_ONE, request=examples.DEVICE_PATCH, answer=examples.DEVICE, versioned=True),
)
async def change_device(
    data: JSONBody[DevicePatch],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    if_match: IfMatch = None,
) -> Response[Device]:
    """Set the attributes that are given and remove those that are null (a merge patch); others stay."""
    expected = expected_version(if_match)
    device = await change_attributes(asker, product_id, device_id, data.attributes, expected)
    return versioned(device, device.version)


@delete(
    "/{device_id:str}",
    summary="Delete a device",
    operation_id="delete_device",
    guards=[needs("admin")],
    opt=described(problems=ABOUT_ONE),
)
async def delete_device(
    asker: NamedDependency[Asker], product_id: ProductId, device_id: DeviceId, if_match: IfMatch = None
) -> None:
    """Forget a device: its credentials, its session and its presence go; its history stays."""
    request = DeleteDevice(product_id, device_id, expected_version(if_match), **asker.stamp())
    await asker.ask(REGISTRY_INBOX, device_key(product_id, device_id), request)


@post(
    "/{device_id:str}/:disable",
    summary="Lock a device out",
    operation_id="disable_device",
    guards=[needs("admin")],
    status_code=200,
    opt=described(problems=ABOUT_ONE, answer=examples.DISABLED_DEVICE, versioned=True),
)
async def disable_device(
    asker: NamedDependency[Asker], product_id: ProductId, device_id: DeviceId, if_match: IfMatch = None
) -> Response[Device]:
    """Refuse the device's credentials from now on, and cut its session."""
    expected = expected_version(if_match)
    device = await decide(asker, DisableDevice(product_id, device_id, expected, **asker.stamp()))
    return versioned(device, device.version)


@post(
    "/{device_id:str}/:enable",
    summary="Let a device in again",
    operation_id="enable_device",
    guards=[needs("admin")],
    status_code=200,
    opt=described(problems=ABOUT_ONE, answer=examples.DEVICE, versioned=True),
)
async def enable_device(
    asker: NamedDependency[Asker], product_id: ProductId, device_id: DeviceId, if_match: IfMatch = None
) -> Response[Device]:
    """Accept the device's credentials again."""
    expected = expected_version(if_match)
    device = await decide(asker, EnableDevice(product_id, device_id, expected, **asker.stamp()))
    return versioned(device, device.version)


@post(
    "/{device_id:str}/:rotate-secret",
    summary="Replace a device's secret",
    operation_id="rotate_device_secret",
    guards=[needs("admin")],
    status_code=200,
    opt=described(problems=ABOUT_ONE, request=examples.ROTATION, answer=examples.DEVICE_WITH_SECRET, versioned=True),
)
async def rotate_device_secret(
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    data: JSONBody[Rotation | None] = None,
    if_match: IfMatch = None,
) -> Response[DeviceWithSecret]:
    """Give the device a new secret, shown here and in no other answer; the old one stays valid for `grace_s`."""
    credential, secret = credentials.for_device(asker, product_id, device_id)
    grace = (data or Rotation()).grace_s * 1000
    request = RotateSecret(product_id, device_id, credential, grace, expected_version(if_match), **asker.stamp())
    device = await decide(asker, request)
    return versioned(with_secret(asker, device, credential, secret), device.version)


router = Router(
    "/v1/products/{product_id:str}/devices",
    route_handlers=[
        register_device,
        list_devices,
        get_device,
        change_device,
        delete_device,
        disable_device,
        enable_device,
        rotate_device_secret,
    ],
    tags=["devices"],
)
