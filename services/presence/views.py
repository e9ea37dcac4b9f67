"""What the owner of a device's row tells about it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session import carrier, document, silent, state

if TYPE_CHECKING:
    from libs.topics.messages.presence import PresenceDocument, SessionState

    from .model import Device, Sources


def show(key: bytes, row: Device | None, _sources: Sources) -> PresenceDocument | None:
    """Show the document as it was last written to ``presence.state``; None for a device of which nothing was heard.

    Nor is anything shown of one that was deleted, until something is heard of the next of its name.
    """
    if row is None or silent(row):
        return None
    product_id, _, device_id = key.decode().partition("/")
    return document(product_id, device_id, row)


def tally(key: bytes, row: Device) -> tuple[str, SessionState] | None:
    """Count a device that is shown by (product id, state of its session). Called for every row that changes."""
    if row.born_at >= 0 and silent(row):
        return None
    shown: SessionState = "offline"
    if row.doubts or row.born_at >= 0:
        shown = state(row, carrier(row))
    else:
        for client in row.clients:
            if client.newest is not None and client.newest.end is None:
                shown = "online"
                break
    return key[: key.index(b"/")].decode(), shown
