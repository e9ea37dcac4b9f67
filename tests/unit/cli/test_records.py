"""Records of topics, as `fleetlog tail` shows them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.commands.tail import for_scripts
from cli.records import Record, Start, decoder, key_text, parse_start, see
from libs.topics import catalog, examples

if TYPE_CHECKING:
    from libs.topics.topic import Topic

NOW = 1_772_366_400.0
DECODED = [topic for topic in catalog.TOPICS if topic.types]


def record(value: bytes | None, topic: str = "device.telemetry") -> Record:
    return Record(topic, 1, 42, int(NOW * 1000), b"shop/freezer", value)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Start("beginning")),
        ("end", Start("end")),
        ("1234", Start("offset", 1234)),
        ("1h", Start("time", int(NOW * 1000) - 3_600_000)),
        ("2026-03-01T12:00:00Z", Start("time", int(NOW * 1000))),
    ],
)
def test_where_to_begin(text: str, start: Start) -> None:
    assert parse_start(text, NOW) == start


@pytest.mark.parametrize("topic", DECODED, ids=[topic.name for topic in DECODED])
def test_every_message_of_the_catalog_is_decoded_and_shown_byte_for_byte(topic: Topic) -> None:
    decode = decoder(topic)
    for kind in topic.types:
        for value in examples.values(kind).values():
            seen = see(record(value, topic.name), decode)
            assert (seen.problem, seen.kind) == (None, kind.__struct_config__.tag)
            assert bytes(seen.value or b"") == value


@pytest.mark.parametrize(
    ("value", "kind", "problem"),
    [
        (b'{"type":"from_tomorrow","x":1}', "from_tomorrow", "a type that this version does not know"),
        (b'{"type":"data_uploaded","x":1}', "data_uploaded", "missing required field"),
        (b"\x00\xff", "?", "invalid"),
    ],
)
def test_what_cannot_be_decoded_is_shown_as_it_is(value: bytes, kind: str, problem: str) -> None:
    seen = see(record(value), decoder(catalog.get("device.telemetry")))
    assert seen.kind == kind
    assert problem in (seen.problem or "").lower() or problem in (seen.problem or "")


def test_a_deletion_has_no_value() -> None:
    assert see(record(None), None).kind == "deleted"


@given(st.binary())
def test_any_bytes_are_one_line_of_json_that_gives_them_back(value: bytes) -> None:
    seen = see(record(value), None)
    shown: Any = json.loads(bytes(seen.value or b""))
    assert b"\n" not in bytes(seen.value or b"")
    try:
        assert shown == json.loads(value)
    except ValueError:
        assert base64.b64decode(shown) == value


@given(st.binary())
def test_any_key_is_text(key: bytes) -> None:
    assert "\0" not in (key_text(key) or "")


def test_a_line_for_scripts_names_the_place() -> None:
    line = for_scripts(record(b'{"type":"x"}'), see(record(b'{"type":"x"}'), None))
    assert {name: line[name] for name in ("topic", "partition", "offset", "key")} == {
        "topic": "device.telemetry",
        "partition": 1,
        "offset": 42,
        "key": "shop/freezer",
    }
