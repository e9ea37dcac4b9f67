"""What a record asks for, and what MQTT cannot carry."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.codec import InvalidMessage, UnknownKind, encode
from libs.topics.messages.downlink import PublishMessage
from libs.topics.payload import embed
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


def record(**changes: Any) -> bytes:
    return encode(msgspec.structs.replace(MESSAGE, **changes))


def reason(**changes: Any) -> str:
    with pytest.raises(Unpublishable) as refused:
        parse(record(**changes))
    return refused.value.reason


def test_a_record_becomes_what_is_published() -> None:
    found = parse(record())
    assert (found.topic, found.payload, found.qos) == (MESSAGE.topic, b'{"version": 4}', 1)
    assert (found.expires_at, found.content_type) == (1_790_000_000_000, "application/json")
    assert found.correlation_data == b"shadow-1-17-0"
    bare = parse(record(expires_at=None, content_type=None, request_id=None, qos=0))
    assert (bare.expires_at, bare.content_type, bare.correlation_data, bare.qos) == (None, None, None, 0)


@given(st.binary(max_size=200))
def test_any_bytes_arrive_as_they_were_embedded(payload: bytes) -> None:
    encoding, embedded = embed(payload)
    assert parse(record(encoding=encoding, payload=embedded)).payload == payload
    forced = msgspec.Raw(b'"' + base64.b64encode(payload) + b'"')
    assert parse(record(encoding="base64", payload=forced)).payload == payload


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
    assert parse(record(topic=topic)).topic == topic


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
        parse(value)


def test_a_kind_of_a_later_version_is_told_apart() -> None:
    with pytest.raises(UnknownKind):
        parse(b'{"type":"withdraw_message"}')
