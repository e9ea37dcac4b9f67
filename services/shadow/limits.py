"""How large shadows may be, each limit with its name; a change that would break one is refused whole. Pure.

Sizes are taken from what is encoded anyway: only documents that are not small are measured once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.runtime.lane.verdicts import Refused, malformed
from libs.shadow import trees
from libs.shadow.document import checkpoint
from libs.topics.codec import encode
from libs.topics.identity import is_name
from libs.topics.messages.shadow_changes import ShadowSections

if TYPE_CHECKING:
    from libs.shadow.document import Document
    from libs.shadow.trees import Tree

    from .model import Entry

LEVELS: Final = 8
"""Of objects and arrays within each other, inside a section."""
STATE: Final = 32 * 1024
"""Bytes of both sections as JSON, without metadata."""
NAMED: Final = 10
"""Named shadows of a device."""
STORED: Final = 512 * 1024
"""Bytes of all shadows of a device in its row, metadata and pending fields included."""
EVENT: Final = 1000 * 1000
"""Bytes of an event: what the lane lets out."""
CHECKPOINT: Final = 480 * 1000
"""Bytes of a document as events carry it. One in which all its fields converge, each with its pointer, is then within
`EVENT` too; otherwise the document could not pass the version whose event has to carry it, be it to be deleted."""
STATUS: Final = 192 * 1024
"""Bytes of a device's status in its row, beside `STORED` of shadows: no status stands in the way of a change."""
SMALL: Final = 8 * 1024
"""A document of so many bytes as JSON cannot have `STORED` in a row, whatever its keys are: each is in the JSON three
times, but in the row once for each of its pending fields."""

_row = msgspec.msgpack.Encoder().encode


def misnamed(shadow: str | None) -> Refused | None:
    if shadow is None or is_name(shadow):
        return None
    detail = f"{shadow!r} is not a name"
    return malformed("invalid_shadow_name", detail, "Use 1 to 64 of A-Z a-z 0-9 _ -")


def unreadable(patch: Tree) -> Refused | None:
    """Refuse integers that no row can hold."""
    try:
        _row(patch)
    except OverflowError:
        advice = "Send integers from -2^63 to 2^64 - 1."
        return malformed("invalid_request", "an integer is too large", advice)
    return None


def too_many(entry: Entry, shadow: str | None) -> Refused | None:
    """Refuse another named shadow."""
    if shadow is None or shadow in entry.named or len(entry.named) < NAMED:
        return None
    detail = f"the device has {NAMED} named shadows already"
    return Refused(409, "too_many_shadows", detail, "Delete one of them first.")


def too_deep(patch: Tree | None) -> Refused | None:
    """Refuse a patch that makes a section too deep: a section within the limit grows no deeper otherwise."""
    if not patch or trees.depth(patch) <= LEVELS:
        return None
    detail = f"a section would have more than {LEVELS} levels"
    return Refused(413, "document_too_deep", detail, f"Put at most {LEVELS} objects and arrays within each other.")


def too_large_status(status: Tree, payload: int) -> str:
    """Say what is wrong with a status that leaves no room for shadows. ``payload``: its bytes as JSON."""
    if payload <= STATUS // 3 or len(_row(status)) <= STATUS:  # no JSON is three times as long in a row
        return ""
    return f"the status would take more than {STATUS} bytes of the device's row"


def too_large(entry: Entry, shadow: str | None, after: Document, event: bytes, document: bytes) -> Refused | None:
    """Refuse what a change makes. ``event``, ``document``: as they would be sent."""
    if len(event) > EVENT:
        detail = f"the event of the change would have {len(event)} bytes, and may have {EVENT}"
        return Refused(413, "shadows_too_large", detail, "Change less at once.")
    if len(document) <= SMALL and not entry.named and shadow is None:
        return None
    if len(document) > STATE:
        size = len(encode(ShadowSections(after.desired, after.reported)))
        if size > STATE:
            detail = f"the document would have {size} bytes, and may have {STATE}"
            return Refused(413, "document_too_large", detail, "Use named shadows, or say less.")
    others: list[Any] = [one for name, one in entry.named.items() if name != shadow]
    if shadow is not None:
        others.append(entry.classic)
    if len(document) > SMALL and len(encode(checkpoint(after))) > CHECKPOINT:
        detail = f"the document with its metadata would have more than {CHECKPOINT} bytes in the log"
        return Refused(413, "shadows_too_large", detail, "Use shorter keys, or say less.")
    if len(_row([after, others])) > STORED:
        detail = f"all shadows of the device with their metadata would have more than {STORED} bytes"
        return Refused(413, "shadows_too_large", detail, "Delete named shadows, use shorter keys, or say less.")
    return None
