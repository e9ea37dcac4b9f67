"""Unknown kinds are skipped, invalid messages are dead letters: the codec tells them apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.codec import Decoder, InvalidMessage, UnknownKind, encode
from libs.topics.messages.presence import ConnectionObserved, TrafficSeen
from libs.topics.messages.telemetry import DataUploaded
from tests.support.instances import JSON_VALUES

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

one: Decoder[TrafficSeen] = Decoder(TrafficSeen)
two: Decoder[TrafficSeen | ConnectionObserved] = Decoder(TrafficSeen | ConnectionObserved)
DECODERS = pytest.mark.parametrize("decode", [one, two], ids=["one type", "a union"])
SEEN = TrafficSeen("p1", "d1", 1_760_000_000_000)
VALUE = b'{"type":"traffic_seen","product_id":"p1","device_id":"d1","time":1760000000000}'


def test_type_comes_first_then_the_fields_as_declared() -> None:
    assert encode(SEEN) == VALUE


@DECODERS
def test_a_known_message_is_decoded(decode: Decoder[Message]) -> None:
    assert decode(VALUE) == SEEN


@DECODERS
def test_fields_may_come_in_any_order(decode: Decoder[Message]) -> None:
    assert decode(b'{"time":1760000000000,"device_id":"d1","product_id":"p1","type":"traffic_seen"}') == SEEN


@DECODERS
@given(kind=st.text().filter(lambda text: text not in {"traffic_seen", "connection_observed"}))
def test_any_other_type_is_an_unknown_kind_whatever_its_fields(decode: Decoder[Message], kind: str) -> None:
    with pytest.raises(UnknownKind) as caught:
        decode(encode({"type": kind, "time": "not a number"}))
    assert caught.value.kind == kind
    assert caught.value.code == "unknown_kind"


@DECODERS
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"traffic_seen"',
        b"{}",
        b'{"product_id":"p1"}',
        VALUE.replace(b'"type":"traffic_seen",', b""),
        VALUE.replace(b'"traffic_seen"', b"null"),
        VALUE.replace(b'"traffic_seen"', b"7"),
        VALUE.replace(b'"traffic_seen"', b'["traffic_seen"]'),
        b'{"type":null}',
        b'{"type":7}',
        b'{"type":["traffic_seen"]}',
        b'{"type":{"traffic_seen":1}}',
        b'{"Type":"traffic_seen"}',
        b'{"type":"traffic_seen"}',
        b'{"type":"newer_kind"',
        b'{"type":"newer_kind"} trailing',
        b'{"type":"newer_\xff"}',
        VALUE.replace(b"1760000000000", b"1.5"),
        VALUE.replace(b'"d1"', b"null"),
        VALUE.replace(b'"d1"', b'"\xff"'),
        VALUE + VALUE,
        b'{"type":"traffic_seen","deep":' + b"[" * 100_000,
        b'{"type":"newer_kind","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_does_not_fit_is_an_invalid_message(decode: Decoder[Message], value: bytes | None) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(value)
    assert caught.value.code == caught.value.reason == "invalid_message"
    assert str(caught.value)


@given(value=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    with pytest.raises((UnknownKind, InvalidMessage)):
        two(value)


@given(cut=st.integers(min_value=0, max_value=len(VALUE) - 1))
def test_no_prefix_of_a_message_is_a_message(cut: int) -> None:
    with pytest.raises(InvalidMessage):
        two(VALUE[:cut])


def test_a_decoder_names_its_kinds() -> None:
    assert one.kinds == {"traffic_seen"}
    assert two.kinds == {"traffic_seen", "connection_observed"}


@given(payload=JSON_VALUES)
def test_a_devices_json_travels_verbatim(payload: Any) -> None:
    text = json.dumps(payload, indent=1).encode()
    value = encode(DataUploaded("p", "d", "t", "m", 1, "json", msgspec.Raw(text), 1_760_000_000_000))
    decode: Decoder[DataUploaded] = Decoder(DataUploaded)
    assert text in value
    assert bytes(decode(value).payload) == text
