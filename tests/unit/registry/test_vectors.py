"""The published test vectors hold for our own fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import services.registry
from libs.topics import catalog, names
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from tests.support.registry.hub import Hub, Record

VECTORS = Path(services.registry.__file__).parent / "vectors"
CASES = [case for path in sorted(VECTORS.glob("*.json")) for case in msgspec.json.decode(path.read_bytes())]


def plain(message: Any) -> Any:
    return msgspec.json.decode(encode(message))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    hub = Hub()
    own: list[Record] = []  # what the registry wrote into its inbox, until it is met there
    for record in case["inputs"]:
        key = BROADCAST_KEY if record["key"] is None else record["key"].encode()
        value = encode(record["message"])
        if record["message"]["type"] in ("product_changed", "product_closing", "product_deleted", "product_taken"):
            written = own.pop(0)
            assert (written.key, written.value) == (key, value)
        hub.parts[0].log.append(Record(key, value, record["timestamp"]))
        hub.fold(0)
        own += hub.links.pop((0, 0), ())
    assert own == []
    assert hub.events() == case["events"]
    assert [plain(answer) for (answer,) in hub.answers.values()] == case["answers"]
    documents: dict[str, dict[str, Any]] = {}
    for (topic, key), shown in hub.documents.items():
        documents.setdefault(topic, {})[key.decode()] = msgspec.json.decode(shown)
    assert documents == case["documents"]


def test_every_message_of_inbox_and_log_has_a_vector() -> None:
    inputs = {record["message"]["type"] for case in CASES for record in case["inputs"]}
    assert inputs == set(catalog.get(names.REGISTRY_INBOX).kinds)
    events = {event["type"] for case in CASES for event in case["events"]}
    assert events == set(catalog.get(names.REGISTRY_EVENTS).kinds)


def test_names_of_vectors_are_unique() -> None:
    found = [case["name"] for case in CASES]
    assert len(set(found)) == len(found) >= 24
