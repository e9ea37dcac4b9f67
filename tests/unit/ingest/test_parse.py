"""One MQTT message, one outcome: the event that the protocol names, one dead letter, or a counted drop."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.topics import catalog, names
from libs.topics.codec import Decoder
from libs.topics.identity import BROADCAST_KEY
from services.ingest import letters
from services.ingest.connections import LOG_TOPIC, Observer
from services.ingest.model import STAMP, Dropped, Letter, Record
from services.ingest.parse import Parser
from services.ingest.routes import ROUTES, Route

NOW = 1_560_432_017_123
MAX = 1000
PARTITIONS = 3
parse = Parser(Observer("mosquitto:main", PARTITIONS), MAX)


def one(topic: str, payload: bytes = b"{}", packet_id: int = 7) -> Record:
    parsed = parse(topic, payload, packet_id, NOW)
    assert isinstance(parsed, tuple)
    (record,) = parsed
    return record


def fields(record: Record) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(record.value)
    return decoded


def embedded(record: Record) -> tuple[str, bytes]:
    """The encoding, and the payload's bytes as a reader gets them from the envelope."""
    raw = msgspec.json.decode(record.value, type=dict[str, msgspec.Raw])
    encoding = msgspec.json.decode(raw["encoding"], type=str)
    payload = bytes(raw["payload"])
    return encoding, base64.b64decode(msgspec.json.decode(payload)) if encoding == "base64" else payload


ENVELOPE = {"packet_id": 7, "encoding": "json", "payload": {"a": 1}, "received_at": NOW}
DEVICE = {"product_id": "p1", "device_id": "d1"}

ROUTED = [
    ("upload_data/p1/d1/temp/m1", names.DEVICE_TELEMETRY, "data_uploaded", {"data_type": "temp", "message_id": "m1"}),
    ("upload_data/p1/d1/$shadow_updated/m1", names.SHADOW_INBOX, "shadow_acknowledged", {"message_id": "m1"}),
    ("upload_data/p1/d1/$shadow_reported/m1", names.SHADOW_INBOX, "shadow_reported", {"message_id": "m1"}),
    ("update_status/p1/d1/m1", names.SHADOW_INBOX, "status_reported", {"message_id": "m1"}),
    (
        "cmd_resp/p1/d1/unlock/5d0a/7c31",
        names.COMMANDS_INBOX,
        "command_answered",
        {"mode": "cmd", "command": "unlock", "request_id": "5d0a", "message_id": "7c31"},
    ),
    (
        "rpc_resp/p1/d1/unlock/5d0a/7c31",
        names.COMMANDS_INBOX,
        "command_answered",
        {"mode": "rpc", "command": "unlock", "request_id": "5d0a", "message_id": "7c31"},
    ),
    ("get/p1/d1/$ntp/m1", names.COMMANDS_INBOX, "resource_requested", {"resource": "$ntp", "message_id": "m1"}),
    ("get/p1/d1/$tags/m2", names.COMMANDS_INBOX, "resource_requested", {"resource": "$tags", "message_id": "m2"}),
    ("get/p1/d1/config/m1", names.APP_DATA_REQUESTS, "data_requested", {"resource": "config", "message_id": "m1"}),
    ("update_ota_status/p1/d1/m3", names.OTA_INBOX, "ota_progress_reported", {"message_id": "m3"}),
    ("m2m/p1/d2/d1/m1", names.DEVICE_TELEMETRY, "device_message_sent", {"to_device_id": "d2", "message_id": "m1"}),
    ("/shadow/p1/d1/update", names.SHADOW_INBOX, "shadow_message_received", {"form": "device_first"}),
    ("/shadow/update/p1/d1", names.SHADOW_INBOX, "shadow_message_received", {"form": "verb_first"}),
    ("/sys/p1/d1/rrpc/response/123", names.COMMANDS_INBOX, "probe_answered", {"message_id": "123"}),
]


@pytest.mark.parametrize(("topic", "kafka", "kind", "own"), ROUTED)
def test_every_uplink_topic_becomes_its_event(topic: str, kafka: str, kind: str, own: dict[str, Any]) -> None:
    record = one(topic, b'{"a":1}')
    assert (record.topic, record.key, record.partition) == (kafka, b"p1/d1", -1)
    assert fields(record) == {"type": kind, **DEVICE, **own, **ENVELOPE}


def test_a_shadow_pull_may_carry_any_payload() -> None:
    record = one("get/p1/d1/$shadow/m1", b"{}")
    assert record.topic == names.SHADOW_INBOX
    assert fields(record) == {
        "type": "shadow_pulled",
        **DEVICE,
        "message_id": "m1",
        "packet_id": 7,
        "encoding": "json",
        "payload": {},
        "received_at": NOW,
    }


def test_every_route_is_covered_above() -> None:
    assert {route.kind for route in ROUTES} - {route.kind for topic, *_ in ROUTED for route in matching(topic)} == {
        route.kind for route in matching("get/p1/d1/$shadow/m1")
    }


def matching(topic: str) -> list[Route]:
    return [route for route in ROUTES if route.fullmatch(topic)]


VECTORS = [
    ("/shadow/p1/d1/update", b'{"method":"update","state":{"reported":{"color":"red"}},"version":1}'),
    ("/shadow/update/p1/d1", b'{"method":"update","state":{"desired":"null"},"version":4}'),
    ("/shadow/p1/d1/update", b'{"method":"get"}'),
    ("/shadow/p1/d1/update", b'{"method":"delete","state":{"reported":{"color":"null"}},"version":5}'),
    ("upload_data/p1/d1/$shadow_updated/m1", b'{"state":{"desired":null},"version":1}'),
    ("upload_data/p1/d1/$shadow_reported/m1", b'{"state":{"reported":{"lights":"off"}},"version":1}'),
    ("/sys/p1/d1/rrpc/response/123", b'{"id":123,"version":"1.0","time":1234567890123}'),
    ("cmd_resp/p1/d1/unlock/5d0a/7c31", b"done"),
    ("get/p1/d1/$ntp/m1", b'{"device_time":1560432000123}'),
    ("get/p1/d1/$tags/m2", b'{"tags_version":3}'),
    ("update_ota_status/p1/d1/m3", b'{"type":"firmware","version":"1.1","progress":70,"desc":"downloading"}'),
]
"""What devices send, from the dialects."""


@pytest.mark.parametrize(("topic", "payload"), VECTORS)
def test_the_dialects_messages_arrive_byte_for_byte(topic: str, payload: bytes) -> None:
    record = one(topic, payload)
    assert embedded(record)[1] == payload


@pytest.mark.parametrize(
    ("topic", "reason", "key"),
    [
        ("upload_data/p1/d1/temp", "invalid_topic", b"p1/d1"),
        ("upload_data/p1/d1/temp/m1/more", "invalid_topic", b"p1/d1"),
        ("upload_data", "invalid_topic", None),
        ("upload_data/p1", "invalid_topic", None),
        ("upload_data//d1/temp/m1", "invalid_name", None),
        ("upload_data/p1/d1//m1", "invalid_name", b"p1/d1"),
        ("upload_data/p1/d1/temp/", "invalid_name", b"p1/d1"),
        ("upload_data/p 1/d1/temp/m1", "invalid_name", None),
        ("upload_data/p1/d1/temp/m1\n", "invalid_name", b"p1/d1"),
        ("upload_data/p1/d1/tempé/m1", "invalid_name", b"p1/d1"),
        (f"upload_data/p1/{'d' * 65}/temp/m1", "invalid_name", None),
        ("upload_data/p1/d1/$own/m1", "reserved_name", b"p1/d1"),
        ("upload_data/p1/d1/$/m1", "invalid_name", b"p1/d1"),
        ("update_status/p1/d1/$m", "invalid_name", b"p1/d1"),
        ("get/p1/d1/$shadow/m 1", "invalid_name", b"p1/d1"),
        ("m2m/p1/d2/d1", "invalid_topic", b"p1/d1"),
        ("m2m/p1/d 2/d1/m1", "invalid_name", b"p1/d1"),
        ("cmd_resp/p1/d1/unlock/r/m/x", "invalid_topic", b"p1/d1"),
        ("/shadow/p1/d 1/update", "invalid_name", None),
        ("/shadow/update/p1", "invalid_topic", None),
        ("/shadow/update/p1/d1/x", "invalid_topic", b"p1/d1"),
        ("/shadow/update/d1/update", "ambiguous_topic", None),
        ("/sys/p1/d1/rrpc/response/m/x", "invalid_topic", b"p1/d1"),
        ("/sys/p1/d1/rrpc/response", "invalid_topic", b"p1/d1"),
        ("Upload_data/p1/d1/temp/m1", "invalid_topic", None),
        ("", "invalid_topic", None),
        ("/", "invalid_topic", None),
    ],
)
def test_a_topic_that_is_none_of_ours_is_one_dead_letter(topic: str, reason: str, key: bytes | None) -> None:
    record = one(topic, b"\x00raw")
    assert isinstance(record, Letter)
    letter = fields(record)
    assert (record.topic, record.reason, letter["reason"], record.key) == (letters.TOPIC, reason, reason, key)
    assert base64.b64decode(letter["payload"]) == b"\x00raw"
    assert letter["origin"] == f"mqtt:{topic}"
    assert letter["packet_id"] == 7
    assert (None if letter["key"] is None else base64.b64decode(letter["key"])) == key


def test_a_payload_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    assert one("upload_data/p1/d1/t/m", b"x" * MAX).topic == names.DEVICE_TELEMETRY
    record = one("upload_data/p1/d1/t/m", b"x" * (MAX + 1))
    letter = fields(record)
    assert (letter["reason"], record.key) == ("payload_too_large", b"p1/d1")
    assert base64.b64decode(letter["payload"]) == b"x" * (MAX + 1)


def test_an_unknown_resource_of_the_hub_is_dropped_and_counted() -> None:
    assert parse("get/p1/d1/$weather/m1", b"{}", 7, NOW) == Dropped("unknown_resource")


@pytest.mark.parametrize(
    ("payload", "encoding"),
    [
        (b'{"a":1}', "json"),
        (b"  [1, 2]\n", "json"),
        (b"1e999", "json"),
        (b'"\\u00e9"', "json"),
        ('"é"'.encode(), "json"),
        (b"0", "json"),
        (b"null", "json"),
        (b"", "base64"),
        (b"\x00", "base64"),
        (b"{}\x00", "base64"),
        (b"NaN", "base64"),
        (b"-", "base64"),
        (b"01", "base64"),
        (b"{} {}", "base64"),
        (b'"\xff"', "base64"),
        (b'{"\xff":1}', "base64"),
        (b'"\\ud800"', "base64"),
        (b'"\x01"', "base64"),
        (b"\xef\xbb\xbf{}", "base64"),
        (b"[" * 64 + b"]" * 64, "json"),
        (b"[" * 65 + b"]" * 65, "base64"),
        (b'{"":' * 65 + b"1" + b"}" * 65, "base64"),
        (b"[" + b"[1]," * 100 + b"{}]", "json"),
        (b'["' + b"[" * 100 + b'"]', "json"),
        (b'["\\"' + b"[" * 100 + b'"]', "json"),
        (b"[" * 100_000, "base64"),
    ],
)
def test_a_payload_stays_verbatim_only_where_it_is_json(payload: bytes, encoding: str) -> None:
    record = one_of_any_size("upload_data/p1/d1/t/m", payload)
    assert embedded(record) == (encoding, payload.strip(b" \n") if encoding == "json" else payload)
    assert encoding == "base64" or payload in record.value


def one_of_any_size(topic: str, payload: bytes) -> Record:
    (record,) = wide(topic, payload, 7, NOW)
    return record


def wide(topic: str, payload: bytes, packet_id: int, now: int) -> tuple[Record, ...]:
    parsed = Parser(Observer("mosquitto:main", PARTITIONS), 1_000_000)(topic, payload, packet_id, now)
    assert isinstance(parsed, tuple)
    return parsed


def test_what_is_just_not_too_deep_can_be_read_from_a_deep_stack() -> None:
    record = one_of_any_size("upload_data/p1/d1/t/m", b"[" * 64 + b"]" * 64)

    def read(frames: int) -> Any:
        return read(frames - 1) if frames else Decoder(catalog_union(names.DEVICE_TELEMETRY))(record.value)

    assert bytes(read(500).payload) == b"[" * 64 + b"]" * 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=150,
)


@given(JSON, st.integers(0, 70))
def test_nesting_is_measured_as_a_parser_would(value: Any, wrapped: int) -> None:
    for _ in range(wrapped):
        value = [value, "]["]
    payload = msgspec.json.encode(value)
    assert embedded(one_of_any_size("upload_data/p1/d1/t/m", payload))[0] == (
        "json" if depth_of(value) <= 64 else "base64"
    )


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def catalog_union(topic: str) -> Any:
    """The union of the kinds that a topic holds."""
    kinds = catalog.get(topic).types
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union |= kind
    return union


LEVEL = st.sampled_from(
    ["p1", "d1", "update", "shadow", "sys", "rrpc", "response", "$ntp", "$shadow", "$x", "", " ", "é", "a" * 65, "\0"]
) | st.text(max_size=8)
HEAD = st.sampled_from(sorted({route.levels[0] for route in ROUTES} | {"cmd_resp", "rpc_resp", "$SYS/broker/log"}))
TOPIC = st.builds(lambda head, rest: "/".join([head, *rest]), HEAD, st.lists(LEVEL, max_size=7)) | st.text(max_size=40)
PAYLOAD = st.binary(max_size=60) | st.sampled_from([payload for _, payload in VECTORS])


@given(TOPIC, PAYLOAD, st.integers(0, 65_535))
@example("$SYS/broker/log/N", b"1: Client p1/d1 disconnected.", 1)
@example("$SYS/broker/log/I", b"1: mosquitto version 2.0.11 running", 1)
def test_anything_has_exactly_one_outcome_that_readers_can_decode(topic: str, payload: bytes, packet_id: int) -> None:
    parsed = parse(topic, payload, packet_id, NOW)
    if isinstance(parsed, Dropped):
        assert parsed.reason
        return
    assert len(parsed) == 1 or (len(parsed) == PARTITIONS and {r.key for r in parsed} == {BROADCAST_KEY})
    for record in parsed:
        assert isinstance(record, Letter) is (record.topic == letters.TOPIC)
        Decoder(catalog_union(record.topic))(record.value)


@given(TOPIC, PAYLOAD, st.integers(0, 65_535), st.integers(NOW, NOW + 10**11))
@example(LOG_TOPIC + "N", b"1: Client p1/d1 disconnected.", 1, NOW + 5)
@example(LOG_TOPIC + "I", b"1: mosquitto version 2.0.11 running", 1, NOW + 5)
def test_a_record_depends_on_the_time_in_its_stamp_only(topic: str, payload: bytes, packet_id: int, later: int) -> None:
    first, again = parse(topic, payload, packet_id, NOW), parse(topic, payload, packet_id, later)
    if isinstance(first, Dropped) or isinstance(again, Dropped):
        assert first == again
        return
    for one_record, other in zip(first, again, strict=True):
        assert one_record.value[:-STAMP] == other.value[:-STAMP]
        assert one_record.value[-STAMP:-1].endswith(b'_at":%d' % NOW)
        assert (one_record.topic, one_record.key, one_record.partition) == (other.topic, other.key, other.partition)


@given(st.integers(1, 65_535), st.integers(1, 65_535))
def test_a_repeated_message_differs_from_a_redelivered_one(packet_id: int, other: int) -> None:
    first, second = one("upload_data/p1/d1/t/m", b"1", packet_id), one("upload_data/p1/d1/t/m", b"1", other)
    assert (first.value == second.value) is (packet_id == other)


def test_the_largest_dead_letter_fits_a_kafka_record() -> None:
    most = 512 * 1024
    record = one('"' * 65_000, b"\xff" * (most - 65_000))
    assert len(record.value) < 1_000_000


@pytest.mark.parametrize(("topic", "whole"), [("\x01" * 65_535, False), ("\x01" * 21_845, True), ("é" * 32_767, True)])
def test_a_topic_that_json_makes_too_long_is_cut_in_its_dead_letter(topic: str, whole: bool) -> None:
    record = one(topic, b"\xff" * (512 * 1024 - len(topic.encode())))
    assert len(record.value) < 1_000_000
    origin = msgspec.json.decode(record.value)["origin"]
    assert (origin == f"mqtt:{topic}") is whole
    assert whole or origin.endswith("\x01 [43690 characters cut off]")


def test_a_route_that_does_not_fill_its_message_is_refused_at_import() -> None:
    kind = ROUTES[0].kind
    with pytest.raises(TypeError, match="does not fill"):
        Route("upload_data/{product_id}/{device_id}/{message_id}", names.DEVICE_TELEMETRY, kind)
