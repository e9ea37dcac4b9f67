"""Shadows between HTTP and the shadow service: asked of the owner, and changed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.runtime.requests.client import Refused
from libs.topics.identity import device_key
from libs.topics.messages.shadow_changes import ChangeDesired
from libs.topics.messages.shadow_views import NamedShadows
from libs.topics.names import SHADOW_INBOX

from . import devices
from .newcomers import Attempts, unheard_of
from .problems import FieldError, Problem
from .shadow_documents import Shadow, Status

if TYPE_CHECKING:
    from typing import Literal

    from .asking import Asker
    from .hub import Hub
    from .shadow_id import ShadowId

OWN: Final = ("shadow", "documents", "document")
"""Service, table and view of a device's own shadow."""
NAMED: Final = ("shadow", "documents", "named")
STATUS: Final = ("shadow", "documents", "status")


class _Named(NamedShadows, frozen=True):
    shadows: dict[str, Shadow]  # type: ignore[assignment]  # the same documents, without their Kafka type


async def current(hub: Hub, shadow: ShadowId) -> Shadow:
    """Read a shadow as it is now.

    Raises `Problem` (``unknown_shadow``, ``unknown_device``, ``unknown_product``, ``unavailable``), `Unavailable`.
    """
    async for _ in Attempts(hub, shadow.product_id, shadow.device_id):
        found = await glance(hub, shadow)
        if found is not None:
            return found
    raise unheard_of(OWN[0], shadow.product_id, shadow.device_id)


async def glance(hub: Hub, shadow: ShadowId) -> Shadow | None:
    """As `current`; None: the shadow service has not heard of the device."""
    product_id, device_id, name = shadow
    if name is None:
        found = await hub.reads.get(*OWN, product_id, device_id)
        return None if found is None else msgspec.json.decode(found, type=Shadow)
    known = await _all_named(hub, product_id, device_id)
    if known is None:
        return None
    if name not in known:
        raise Problem("unknown_shadow", f"there is no {shadow}")
    return known[name]


async def named(hub: Hub, product_id: str, device_id: str) -> list[Shadow]:
    """Read all named shadows, by name. Raises as `current`."""
    async for _ in Attempts(hub, product_id, device_id):
        found = await _all_named(hub, product_id, device_id)
        if found is not None:
            return [found[name] for name in sorted(found)]
    raise unheard_of(OWN[0], product_id, device_id)


async def _all_named(hub: Hub, product_id: str, device_id: str) -> dict[str, Shadow] | None:
    found = await hub.reads.get(*NAMED, product_id, device_id)
    return None if found is None else msgspec.json.decode(found, type=_Named).shadows


async def status(hub: Hub, product_id: str, device_id: str) -> Status:
    """Read the last status. Raises `Problem` ``unknown_status`` where there is none, and as `current`."""
    found = await hub.reads.get(*STATUS, product_id, device_id)
    if found is None:
        await devices.read(hub, product_id, device_id)
        raise Problem("unknown_status", f"{product_id}/{device_id} has reported no status")
    return msgspec.json.decode(found, type=Status)


def request(
    asker: Asker,
    shadow: ShadowId,
    operation: Literal["merge", "replace", "clear", "delete"],
    expected: int | None,
    desired: dict[str, Any] | None = None,
) -> ChangeDesired:
    """Make the request for a change. ``desired``: of merge and replace. Raises `Problem` as `storable`."""
    if desired is not None:
        storable(desired)
    return ChangeDesired(*shadow, operation, desired, expected, **asker.stamp())


def storable(desired: dict[str, Any]) -> None:
    """Refuse integers that no row can hold. Raises `Problem` ``invalid_request``."""
    try:
        msgspec.msgpack.encode(desired)
    except OverflowError as error:
        said = "integers are from -2^63 to 2^64 - 1; send others as text"
        raise Problem("invalid_request", said, errors=(FieldError("", "body", said),)) from error


async def change(asker: Asker, asked: ChangeDesired) -> Shadow:
    """Let the owner change a shadow; returns it as it is then. Raises as `Asker.ask` and `current`."""
    return msgspec.json.decode(await ask(asker, asked), type=Shadow)


async def ask(asker: Asker, asked: ChangeDesired) -> msgspec.Raw:
    """Return the body of the owner's answer. Raises as `change`."""
    product_id, device_id = asked.product_id, asked.device_id
    async for _ in Attempts(asker.hub, product_id, device_id):
        try:
            return (await asker.ask(SHADOW_INBOX, device_key(product_id, device_id), asked)).body
        except Refused as refused:
            if refused.answer.code != "unknown_device":
                raise
    raise unheard_of(OWN[0], product_id, device_id)
