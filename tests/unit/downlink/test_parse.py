"""What a record asks for, and what MQTT cannot carry."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.topics.codec import InvalidMessage, UnknownKind, encode
from libs.topics.messages.downlink import PublishMessage, SendToClient
from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES
from libs.topics.payload import embed
from services.downlink.model import Publish, Receipt
from services.downlink.parse import MAX_LEVELS, MAX_TEXT, Unpublishable, parse

MESSAGE = PublishMessage(
    id="shadow.inbox-1-17-0",
    product_id="plant-7",
    device_id="press-1",
    tag=None,
    topic="cmd/plant-7/press-1/$update_shadow/plain/shadow-1-17-0",
    qos=1,
    encoding="json",
    payload=msgspec.Raw(b'{"version": 4}'),
    expires_at=1_790_000_000_000,
    content_type="application/json",
    request_id="shadow-1-17-0",
    at=1_789_000_000_000,
)


TO_CLIENT = SendToClient(
    client_id="plant-7/press-1",
    topic="config/plant-7/units",
    message_id="n-18",
    encoding="json",
    payload=msgspec.Raw(b'{"temp":"C"}'),
    product_id="plant-7",
    device_id="press-1",
    requested_by="dashboard",
    requested_at=1_789_000_000_000,
)


def read(message: PublishMessage | SendToClient = MESSAGE, **changes: Any) -> Publish:
    topic = APP_P2P if isinstance(message, SendToClient) else DOWNLINK_MESSAGES
    return parse(topic, encode(msgspec.structs.replace(message, **changes)))


def refusal(message: PublishMessage | SendToClient = MESSAGE, **changes: Any) -> Unpublishable:
    with pytest.raises(Unpublishable) as refused:
        read(message, **changes)
    return refused.value


def reason(message: PublishMessage | SendToClient = MESSAGE, **changes: Any) -> str:
    return refusal(message, **changes).reason


def test_a_record_becomes_what_is_published() -> None:
    found = read()
    assert (found.topic, found.payload, found.qos) == (MESSAGE.topic, b'{"version": 4}', 1)
    assert (found.expires_at, found.content_type) == (1_790_000_000_000, "application/json")
    assert found.correlation_data == b"shadow-1-17-0"
    bare = read(expires_at=None, content_type=None, request_id=None, qos=0)
    assert (bare.expires_at, bare.content_type, bare.correlation_data, bare.qos) == (None, None, None, 0)


@example(b"\r0\n")
@given(st.binary(max_size=200))
def test_any_bytes_arrive_as_they_were_embedded(payload: bytes) -> None:
    encoding, embedded = embed(payload)
    expected = payload.strip(b" \t\n\r") if encoding == "json" else payload  # around a value, JSON has no white space
    assert read(encoding=encoding, payload=embedded).payload == expected
    forced = msgspec.Raw(b'"' + base64.b64encode(payload) + b'"')
    assert read(encoding="base64", payload=forced).payload == payload


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "cmd/+/d",
        "cmd/#",
        "a\x00b",
        "a\x1fb",
        "a\x85b",
        "a\ufdd0b",
        "a\uffffb",
        "a\U0001fffeb",
        "$SYS/broker",
        "/" * MAX_LEVELS,
        "x" * (MAX_TEXT + 1),
        "é" * (MAX_TEXT // 2 + 1),
    ],
    ids=ascii,
)
def test_a_topic_that_no_broker_takes_is_refused(topic: str) -> None:
    assert reason(topic=topic) == "invalid_topic"


@pytest.mark.parametrize(
    "topic", ["/", "a//b", "ä/ö", "a b", "a/$b", "\U0001f600", "/" * (MAX_LEVELS - 1), "x" * MAX_TEXT]
)
def test_a_topic_that_brokers_take_is_left_as_it_is(topic: str) -> None:
    assert read(topic=topic).topic == topic


@pytest.mark.parametrize("payload", [b'"%%%%"', b'"YQ"', b'"YQ==YQ=="', b'"Y Q="', b"7", b'{"a":1}', b"null"])
def test_what_is_not_base64_is_refused(payload: bytes) -> None:
    assert reason(encoding="base64", payload=msgspec.Raw(payload)) == "invalid_payload"


def test_what_no_property_can_hold_is_refused() -> None:
    assert reason(content_type="text\nplain") == "invalid_content_type"
    assert reason(content_type="x" * (MAX_TEXT + 1)) == "invalid_content_type"
    assert reason(request_id="x" * (MAX_TEXT + 1)) == "invalid_request_id"


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"type":"publish_message"}', b"\xff"])
def test_what_is_not_the_message_is_refused(value: bytes | None) -> None:
    with pytest.raises(InvalidMessage):
        parse(DOWNLINK_MESSAGES, value)


def test_a_kind_of_a_later_version_is_told_apart() -> None:
    with pytest.raises(UnknownKind):
        parse(DOWNLINK_MESSAGES, b'{"type":"withdraw_message"}')


def test_who_sent_a_command_to_a_device_is_told() -> None:
    assert read().receipt == Receipt("plant-7", "press-1", "shadow-1-17-0")
    assert read(request_id=None).receipt is None
    to_a_tag = read(device_id=None, tag="line-1")
    assert (to_a_tag.receipt, to_a_tag.correlation_data) == (None, b"shadow-1-17-0")


def test_also_when_no_packet_can_be_made_of_it() -> None:
    assert refusal(topic="a/+").receipt == Receipt("plant-7", "press-1", "shadow-1-17-0")
    assert refusal(topic="a/+", request_id=None).receipt is None
    nobody = refusal(device_id="a b")
    assert (nobody.reason, nobody.receipt) == ("invalid_name", None)


@pytest.mark.parametrize(
    ("payload", "opened"),
    [
        (b'{"device_time":7,"send":0}', b'{"device_time":7,"send":'),
        (b'{"send": {"a": 1}, "b": "\xc3\xa4"}', b'{"b":"\xc3\xa4","send":'),
        (b" {} ", b'{"send":'),
    ],
)
def test_what_is_to_be_stamped_is_open_at_its_end(payload: bytes, opened: bytes) -> None:
    found = read(payload=msgspec.Raw(payload), stamp="send")
    assert (found.stamped, found.payload) == (True, opened)
    assert msgspec.json.decode(found.payload + b"1}")["send"] == 1


@pytest.mark.parametrize("payload", [b"[]", b"7", b'"{}"'])
def test_only_an_object_can_be_stamped(payload: bytes) -> None:
    assert reason(payload=msgspec.Raw(payload), stamp="send") == "invalid_payload"


def test_a_message_to_a_client_is_published_under_its_name() -> None:
    found = read(TO_CLIENT)
    assert (found.topic, found.payload, found.qos) == ("config/plant-7/units/p2p/plant-7/press-1", b'{"temp":"C"}', 1)
    assert (found.content_type, found.correlation_data, found.expires_at) == ("application/json", b"n-18", None)
    assert found.receipt is None
    binary = read(TO_CLIENT, encoding="base64", payload=msgspec.Raw(b'"/w=="'))
    assert (binary.payload, binary.content_type) == (b"\xff", None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"topic": "cmd/plant-7/press-2"}, "invalid_topic"),
        ({"topic": "config/plant-8"}, "invalid_topic"),
        ({"topic": "$SYS"}, "invalid_topic"),
        ({"topic": "a\x01"}, "invalid_topic"),
        ({"topic": "x" * MAX_TEXT}, "invalid_topic"),
        ({"client_id": "plant-8/press-1"}, "invalid_client"),
        ({"product_id": "a/b"}, "invalid_name"),
        ({"message_id": "x" * (MAX_TEXT + 1)}, "invalid_message_id"),
        ({"encoding": "base64"}, "invalid_payload"),
    ],
)
def test_what_would_reach_others_or_cannot_be_sent_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert reason(TO_CLIENT, **changes) == expected


def test_each_topic_has_its_own_kinds() -> None:
    with pytest.raises(UnknownKind):
        parse(APP_P2P, encode(MESSAGE))
    with pytest.raises(UnknownKind):
        parse(DOWNLINK_MESSAGES, encode(TO_CLIENT))
