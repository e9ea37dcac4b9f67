"""The published test vectors hold for our own fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import services.presence
from libs.topics import catalog, names
from libs.topics.codec import Decoder, InvalidMessage, encode
from libs.topics.messages.presence import Cause
from services.presence.step import Event
from tests.support.presence.hub import Hub

VECTORS = Path(services.presence.__file__).parent / "vectors"
CASES = [case for path in sorted(VECTORS.glob("*.json")) for case in msgspec.json.decode(path.read_bytes())]

decode: Decoder[Any] = Decoder(Event)


def plain(message: Any) -> Any:
    return msgspec.json.decode(encode(message))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    hub, refused = Hub(), []
    for record in case["inputs"]:
        event = decode(encode(record["message"]))
        key = record["key"]
        assert record["offset"] == hub.offset + 1
        try:
            hub.apply(event, timestamp=record["timestamp"], key=None if key is None else key.encode())
        except InvalidMessage as error:
            refused.append({"offset": record["offset"], "reason": error.reason})
    assert {key.decode(): plain(shown) for key, shown in hub.documents.items()} == case["documents"]
    assert [plain(changed) for changed in hub.transitions] == case["transitions"]
    assert refused == case["refused"]


def test_every_event_kind_and_every_cause_has_a_vector() -> None:
    inputs = [record["message"] for case in CASES for record in case["inputs"]]
    assert {message["type"] for message in inputs} == set(catalog.get(names.PRESENCE_INBOX).kinds)
    assert {message.get("event") for message in inputs} == {"connect", "disconnect", "tcpclean", None}
    causes = {changed["cause"] for case in CASES for changed in case["transitions"]}
    assert causes == set(get_args(Cause))


def test_names_of_vectors_are_unique() -> None:
    found = [case["name"] for case in CASES]
    assert len(set(found)) == len(found)
    assert len(found) >= 50
