"""The test vectors of the dialects: read, turned into records of the inbox, and compared with what was said."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import services.shadow
from libs.shadow import trees
from libs.topics.codec import encode
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import DeviceRegistered
from libs.topics.messages.shadow_changes import ChangeDesired
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libs.topics.messages.base import Message

VECTORS: Final = Path(services.shadow.__file__).parent / "vectors"
CASES: Final[list[dict[str, Any]]] = [
    case for path in sorted(VECTORS.glob("*.json")) for case in json.loads(path.read_bytes())
]
DEVICE: Final = "{device}"
ANY_TEXT: Final = "…"
_REQUEST = re.compile(r"/plain/(shadow-\d+-\d+-\d+)\Z")


def payload_of(sent: dict[str, Any]) -> bytes:
    """Return the bytes that a device publishes."""
    if "text" in sent:
        return str(sent["text"]).encode()
    return base64.b64decode(sent["base64"]) if "base64" in sent else json.dumps(sent["payload"]).encode()


def registered(product: str, device: str, at: int) -> DeviceRegistered:
    """What each case begins with. ``at``: ms."""
    return DeviceRegistered(
        id=f"registry.inbox-0-{at}-0",
        product_id=product,
        device_id=device,
        version=1,
        origin="application",
        credential_id="c1",
        tags=(),
        tags_version=1,
        attributes={},
        by="tester",
        at=at,
    )


def from_elsewhere(step: dict[str, Any], product: str, device: str, at: int) -> Message:
    """What comes to the inbox in a step that is no device's: of an application, or of presence."""
    if "application" in step:
        asked = step["application"]
        return ChangeDesired(
            shadow=asked["shadow"],
            operation=asked["operation"],
            desired=asked["desired"],
            expected_version=None,
            requested_by="tester",
            requested_at=at,
            product_id=product,
            device_id=device,
        )
    online, own = step["presence"] == "online", unique("transition")
    return PresenceChanged(
        id=own,
        product_id=product,
        device_id=device,
        old="offline" if online else "online",
        new=step["presence"],
        cause="connected" if online else "connection_lost",
        reason=None,
        client_id=f"{product}/{device}",
        channel_id=own if online else None,
        previous_channel_id=None,
        source="tester",
        at=at,
        observed_at=at,
    )


def template(topic: str, device: str) -> str:
    """Write a topic as the vectors do."""
    return _REQUEST.sub("/plain/{request_id}", topic.replace(device, DEVICE))


def request_id(topic: str) -> str | None:
    found = _REQUEST.search(topic)
    return None if found is None else found[1]


def with_texts(expected: Any, said: Any) -> Any:
    """Put the texts that are free into what is expected; each must be one."""
    if isinstance(expected, dict) and isinstance(said, dict):
        return {key: with_texts(value, said.get(key)) for key, value in expected.items()}
    return said if expected == ANY_TEXT and isinstance(said, str) and said else expected


def unlike(expected: Any, said: Any, moment: Callable[[int, int], bool], path: str = "") -> Iterator[str]:
    """Yield where something else was said. ``moment`` tells whether a time in a vector (s) may be one that was said."""
    if isinstance(expected, dict) and isinstance(said, dict) and expected.keys() == said.keys():
        for key, value in expected.items():
            if key == "timestamp" and type(said[key]) is int:
                if not moment(value, said[key]):
                    yield f"{path}/{key}: {said[key]}"
            else:
                yield from unlike(value, said[key], moment, f"{path}/{key}")
    elif not trees.same(with_texts(expected, said), said):
        yield f"{path}: {encode(said).decode()} is not {encode(expected).decode()}"
