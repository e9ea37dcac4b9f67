"""What a subscriber of the live stream gets, as server-sent events. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from libs.topics import catalog, names
from libs.topics.codec import FAULTS, encode

from .positions import Place

TOPICS: Final = (
    names.PRESENCE_TRANSITIONS,
    names.REGISTRY_EVENTS,
    names.SHADOW_EVENTS,
    names.COMMANDS_EVENTS,
    names.DEVICE_TELEMETRY,
)
"""In the order in which positions tell of them."""
OF_NO_PRODUCT: Final = frozenset({"api_key_issued", "api_key_revoked", "tagged_patch_applied"})
"""Their records are keyed by something else than a product or a device of one."""
KEYED_OTHERWISE: Final = frozenset({"fan_out_started"})
"""Their records are keyed by something else, too; of which product they are, they say themselves."""
TOPIC_OF: Final = {kind: topic for topic in TOPICS for kind in catalog.get(topic).kinds if kind not in OF_NO_PRODUCT}
"""The topic of each event that can be asked for."""
DEFAULT: Final = frozenset(
    kind for kind, topic in TOPIC_OF.items() if topic in {names.PRESENCE_TRANSITIONS, names.REGISTRY_EVENTS}
)
"""Who is connected, and what is registered. What devices send and report can be so much more that it is told only to
those who ask for it."""
RETRY_MS: Final = 1000
"""After so long a browser connects again."""
SILENCE: Final = b":\n\n"
"""Tells nothing: a stream without positions that must not look idle."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of one of `TOPICS`."""

    place: Place
    offset: int
    product_id: str
    kind: str
    value: bytes
    device_id: str = ""
    """Empty: it is of no device."""


class _Kind(msgspec.Struct):
    type: str
    product_id: str = ""


_kind: Final = msgspec.json.Decoder(_Kind).decode


def record(place: Place, offset: int, key: bytes | None, value: bytes | None) -> Record:
    """Read what the fan-out needs. What cannot be read belongs to no product, and moves positions only."""
    try:
        told = _kind(value or b"")
        kind = told.type
        product, _, device = (key or b"").decode().partition("/")
        if kind in KEYED_OTHERWISE:
            product = told.product_id
    except FAULTS:
        kind = product = device = ""
    return Record(place, offset, product, kind, value or b"", device)


def event(name: str, data: bytes, position: str) -> bytes:
    """Write one event. A device's own JSON may have line breaks, which begin a new field each."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"event: %b\ndata: %b\nid: %b\n\n" % (name.encode(), data, position.encode())


def moved(position: str) -> bytes:
    """Tell how far the stream is, without an event. It also keeps the connection from looking idle."""
    return b"id: %b\n\n" % position.encode()


def opening(position: str) -> bytes:
    return b"retry: %d\n" % RETRY_MS + moved(position)


def gap(place: Place, gone: int, position: str) -> bytes:
    """Tell that records had left Kafka before they were read."""
    return event("gap", _data(topic=place[0], partition=place[1], records=gone), position)


def ended(code: str, detail: str) -> bytes:
    """Tell why the stream ends here. It moves no position: what was not sent comes when the stream is resumed."""
    return unplaced("ended", _data(code=code, detail=detail))


def unplaced(name: str, data: bytes) -> bytes:
    """Write an event that moves no position, or of a stream that has none."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _data(**fields: Any) -> bytes:
    return encode(fields)
