"""What a request means now: the events that come of it, or why nothing does. Pure.

No events: what is asked for is so already. `again` comes before all rules: a request that was carried out is answered
as it was, whatever happened since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from libs.runtime.lane.verdicts import Again, Refused, key_reused, unknown_device
from libs.topics.messages.registry import (
    AddTags,
    DeleteDevice,
    DeleteProduct,
    DisableDevice,
    EnableDevice,
    IssueApiKey,
    PutProduct,
    RegisterDevice,
    RemoveTags,
    RevokeApiKey,
    RotateSecret,
    SetAttributes,
    SetTags,
)
from libs.topics.messages.registry_events import ApiKeyIssued, ApiKeyRevoked, ProductClosing

from . import devices, products
from .checks import fault
from .documents import key_view
from .fold import Event
from .memory import recalled
from .verdicts import GONE, unknown_key, unknown_product

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from libs.runtime.lane.model import At

    from .model import Entry, Reference

DeviceAsked: TypeAlias = (
    RegisterDevice
    | DeleteDevice
    | EnableDevice
    | DisableDevice
    | RotateSecret
    | SetTags
    | AddTags
    | RemoveTags
    | SetAttributes
)
ProductAsked: TypeAlias = PutProduct | DeleteProduct
KeyAsked: TypeAlias = IssueApiKey | RevokeApiKey
Asked: TypeAlias = DeviceAsked | ProductAsked | KeyAsked

Events: TypeAlias = tuple[Event | ProductClosing, ...]
Decision: TypeAlias = Events | Again | Refused


def decide(row: Entry | None, message: Asked, at: At, shared: Reference) -> Decision:
    """Say what comes of a request that arrives at ``at``."""
    return (
        fault(message, at.key)
        or products.crowded(row, message)
        or _again(row, message, at)
        or RULES[type(message)](row, message, at, shared)
    )


def _again(row: Entry | None, message: Asked, at: At) -> Again | Refused | None:
    known = recalled(row, message.idempotency, at.timestamp)
    if known is None or message.idempotency is None or row is None:
        return None
    if known.fingerprint != message.idempotency.fingerprint:
        return key_reused(known.key)
    if row.subject is None and known.status != GONE:
        return _gone(message)  # what that request made is deleted since: it does not come back by repeating
    return Again(known)


def _gone(message: Asked) -> Refused:
    match message:
        case PutProduct() | DeleteProduct():
            return unknown_product(message.product_id)
        case IssueApiKey() | RevokeApiKey():
            return unknown_key(message.key_id)
        case _:
            return unknown_device(message.product_id, message.device_id)


def _issue(row: Entry | None, message: IssueApiKey, at: At, _: Reference) -> Decision:
    key = None if row is None else row.api_key
    if key is None:
        issued = ApiKeyIssued(
            at.id(),
            message.key_id,
            message.name,
            message.scopes,
            message.products,
            message.expires_at,
            message.requested_by,
            at.timestamp,
        )
        return (issued,)
    if key.hash == message.hash:
        return ()
    detail = f"there is an API key {message.key_id}"
    return Refused(409, "key_exists", detail, "Let the command line make another key.", key_view(message.key_id, key))


def _revoke(row: Entry | None, message: RevokeApiKey, at: At, _: Reference) -> Decision:
    if row is None or row.api_key is None:
        return unknown_key(message.key_id)
    return (ApiKeyRevoked(at.id(), message.key_id, message.requested_by, at.timestamp),)


RULES: Final[Mapping[type[Any], Callable[[Entry | None, Any, At, Reference], Decision]]] = {
    RegisterDevice: devices.register,
    DeleteDevice: devices.delete,
    EnableDevice: devices.enable,
    DisableDevice: devices.disable,
    RotateSecret: devices.rotate,
    SetTags: devices.set_tags,
    AddTags: devices.add_tags,
    RemoveTags: devices.remove_tags,
    SetAttributes: devices.set_attributes,
    PutProduct: products.put,
    DeleteProduct: products.delete,
    IssueApiKey: _issue,
    RevokeApiKey: _revoke,
}
