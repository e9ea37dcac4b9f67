"""Devices between HTTP and the registry: how they are asked for, shown and listed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from libs.runtime.owners.reads import MAX_KEYS, Unavailable
from libs.runtime.requests.client import Refused
from libs.topics.identity import device_key
from libs.topics.messages.presence import PresenceDocument, Session
from libs.topics.messages.registry import RegisterDevice, SetAttributes
from libs.topics.names import REGISTRY_INBOX

from . import credentials
from .command_documents import PendingCommands
from .documents import Device, DeviceDetail, DeviceTags, DeviceWithSecret, Presence
from .merge_patch import merged
from .problems import Problem
from .products import ATTEMPTS, find
from .shadow_documents import DeviceShadows, ShadowVersions

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from libs.topics.messages.base import DeviceRequest
    from libs.topics.messages.registry import AddTags, Credential, Origin, RemoveTags, SetTags

    from .asking import Asker
    from .hub import Hub

T = TypeVar("T")

REGISTERED: Final = ("registry", "registry", "device")
"""Service, table and view of what is registered about a device."""
PRESENT: Final = ("presence", "channels", "state")
SUMMARY: Final = ("shadow", "documents", "summary")
PENDING: Final = ("commands", "ledger", "pending")
NO_COMMANDS: Final = PendingCommands(0, 0)
NO_SHADOWS: Final = DeviceShadows(None, ShadowVersions(0, 0, 0, converged=True), {})
"""Of a device that was just registered."""
NEVER_HEARD: Final = Presence(Session("offline", None))
"""Of a device of which presence knows nothing."""


async def decide(asker: Asker, request: DeviceRequest) -> Device:
    """Let the registry decide about a device; returns what is registered then. Raises as `Asker.ask`."""
    return msgspec.json.decode(await ask(asker, request), type=Device)


async def decide_tags(asker: Asker, request: SetTags | AddTags | RemoveTags) -> DeviceTags:
    return msgspec.json.decode(await ask(asker, request), type=DeviceTags)


async def ask(asker: Asker, request: DeviceRequest) -> msgspec.Raw:
    """Return the body of the registry's answer. Raises as `Asker.ask`."""
    answer = await asker.ask(REGISTRY_INBOX, device_key(request.product_id, request.device_id), request)
    return answer.body


def registration(
    asker: Asker,
    product_id: str,
    device_id: str,
    *,
    tags: tuple[str, ...],
    attributes: dict[str, Any],
    origin: Origin,
) -> tuple[RegisterDevice, str]:
    """Make the request for a device, and its secret: a new one, or the same where the request is a repetition."""
    credential, secret = credentials.for_device(asker, product_id, device_id)
    return RegisterDevice(product_id, device_id, origin, credential, tags, attributes, **asker.stamp()), secret


def with_secret(asker: Asker, device: Device, credential: Credential, secret: str) -> DeviceWithSecret:
    """Show the secret, unless it is not the device's any more: a repeated request is answered by the present state."""
    address = credentials.mqtt_address(asker.hub.settings.devices, device.product_id, device.device_id)
    shown = secret if device.credential_id == credential.id else None
    return DeviceWithSecret(**msgspec.structs.asdict(device), secret=shown, mqtt=address)


async def read(hub: Hub, product_id: str, device_id: str) -> Device:
    """Ask the owner of the device. Raises `Problem` ``unknown_device`` or ``unknown_product``, `Unavailable`."""
    document = await hub.reads.get(*REGISTERED, product_id, device_id)
    if document is None:
        find(hub, product_id)
        raise Problem("unknown_device", f"there is no device {device_id} in {product_id}")
    return msgspec.json.decode(document, type=Device)


async def change_attributes(
    asker: Asker, product_id: str, device_id: str, patch: dict[str, Any], expected: int | None
) -> Device:
    """Apply a merge patch to the attributes, decided anew where somebody else changed the device meanwhile.

    Raises as `read` and `Asker.ask`. Attributes are put whole. So the version that the registry compares is always the
    one from which the change was made.
    """
    for attempt in range(ATTEMPTS):
        current = await read(asker.hub, product_id, device_id)
        if expected is not None and expected > current.version:  # an owner that has not noticed its loss, or nobody's
            raise _later(current, expected)
        version = current.version if expected is None else expected
        attributes = merged(current.attributes, patch)
        try:
            return await decide(asker, SetAttributes(product_id, device_id, attributes, version, **asker.stamp()))
        except Refused as refused:
            if expected is not None or refused.answer.code != "version_conflict" or attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _later(current: Device, expected: int) -> Problem:
    """Refuse a change that expects a version which is not there: made from this document it would undo others."""
    said = f"device {current.product_id}/{current.device_id} has version {current.version}, not {expected}"
    return Problem("version_conflict", said, current=msgspec.Raw(msgspec.json.encode(current)))


async def detail(hub: Hub, product_id: str, device_id: str) -> DeviceDetail:
    """Return what is registered with what is known now; others that are silent take nothing from it.

    All owners are asked at the same time.
    """
    presence, shadows, commands, device = await asyncio.gather(
        _shown(hub.reads.get(*PRESENT, product_id, device_id), Presence, NEVER_HEARD),
        _shown(hub.reads.get(*SUMMARY, product_id, device_id), DeviceShadows, NO_SHADOWS),
        _shown(hub.reads.get(*PENDING, product_id, device_id), PendingCommands, NO_COMMANDS),
        read(hub, product_id, device_id),
    )
    return DeviceDetail(
        **msgspec.structs.asdict(device),
        presence=presence,
        status=None if shadows is None else shadows.status,
        shadow=None if shadows is None else shadows.shadow,
        shadows=None if shadows is None else shadows.named,
        pending_commands=commands,
    )


async def _shown(asked: Awaitable[msgspec.Raw | None], kind: type[T], nothing: T) -> T | None:
    """Wait for an owner's answer; None: nobody answers now. ``nothing``: of a device that the owner does not know."""
    try:
        found = await asked
    except Unavailable:
        return None
    return nothing if found is None else msgspec.json.decode(found, type=kind)


async def page(
    hub: Hub, product_id: str, *, tag: str | None, prefix: str, begin: str, limit: int
) -> tuple[list[Device], str | None]:
    """Return a page of devices by id, and the key after which the next one begins; None: there is none.

    Of the largest pages nobody can be asked for one more device than they hold: behind a full one may be an empty one.
    """
    term = f"product:{product_id}" if tag is None else f"tag:{product_id}/{tag}"
    asked = min(limit + 1, MAX_KEYS)  # one more tells whether there is another page
    found = await hub.reads.list(*REGISTERED, term, prefix=f"{product_id}/{prefix}", after=begin, limit=asked)
    items = [msgspec.json.decode(document, type=Device) for _, document in found[:limit]]
    more = len(found) == asked and (asked > limit or asked == MAX_KEYS)
    return items, found[limit - 1][0] if more else None


async def present(hub: Hub, devices: list[Device]) -> set[str]:
    """Return the ids of those that are online. Raises `Unavailable`: half an answer would be a wrong one."""
    keys = [f"{device.product_id}/{device.device_id}" for device in devices[:MAX_KEYS]]
    found = await hub.reads.batch(*PRESENT, keys)
    if found.unavailable:
        raise Unavailable(PRESENT[0], PRESENT[1], ())
    documents = (msgspec.json.decode(raw, type=PresenceDocument) for raw in found.found.values())
    return {document.device_id for document in documents if document.session.state == "online"}
