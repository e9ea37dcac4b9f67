"""The last status that a device reported. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.shadow import trees
from libs.topics import catalog, names
from libs.topics.codec import InvalidMessage
from libs.topics.messages.shadow_changes import StatusChanged

from . import limits
from .fold import report
from .model import Status
from .wire import Garbage, content

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.shadow import StatusReported

    from .model import Entry


class InvalidPayload(InvalidMessage):
    """A status that is no JSON object, or too large: a dead letter, since no device waits for an answer to it."""

    code = reason = "invalid_payload"


def take(entry: Entry, message: StatusReported, at: At) -> tuple[Entry, tuple[Output, ...], str]:
    """Keep a status. One that says what the last one said is newer, and no event. Raises `InvalidPayload`."""
    try:
        said: Any = content(message.encoding, message.payload)
    except Garbage as garbage:
        raise InvalidPayload(str(garbage)) from garbage
    if fault := limits.too_large_status(said, len(message.payload)):
        raise InvalidPayload(fault)
    status = Status(said, message.message_id, message.received_at)
    known = entry.status
    if known is not None and trees.same(known.status, said):
        return (entry if known == status else report(entry, status)), (), "unchanged"
    event = StatusChanged(at.id(), message.product_id, message.device_id, said, message.message_id, message.received_at)
    return report(entry, status), catalog.publish(names.SHADOW_EVENTS, at.key, event), "changed"
