"""Every message type has examples, and they are what they claim to be."""

from __future__ import annotations

import json
from functools import cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from libs.topics import examples
from libs.topics.catalog import TOPICS, Topic
from libs.topics.codec import Decoder, InvalidMessage, encode
from libs.topics.describe import schema
from tests.support.instances import instances

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

KINDS = sorted({kind for topic in TOPICS for kind in topic.types}, key=lambda kind: kind.__name__)
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__struct_config__.tag))
ARRIVAL = ("received_at", "ingested_at")


@cache
def validator(kind: type[Message]) -> Draft202012Validator:
    content = schema.of(kind)
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@EACH_KIND
def test_a_type_has_at_least_two_examples_and_no_two_are_equal(kind: type[Message]) -> None:
    values = examples.values(kind)
    assert len(values) >= 2
    assert len(set(values.values())) == len(values)


@EACH_KIND
def test_an_example_file_is_pretty_and_in_the_order_of_the_fields(kind: type[Message]) -> None:
    for path in examples.files(kind):
        message = msgspec.json.decode(path.read_bytes(), type=kind)
        assert examples.pretty(encode(message)) == path.read_bytes(), f"{path.name}: write it with examples.pretty"


@EACH_KIND
def test_an_example_fits_its_schema(kind: type[Message]) -> None:
    check = validator(kind)
    for value in examples.values(kind).values():
        check.validate(json.loads(value))


@EACH_KIND
def test_decoding_and_encoding_an_example_gives_its_bytes(kind: type[Message]) -> None:
    decode: Decoder[Message] = Decoder(kind)
    for value in examples.values(kind).values():
        assert encode(decode(value)) == value


@EACH_KIND
def test_times_of_an_example_are_milliseconds_of_thirteen_digits(kind: type[Message]) -> None:
    for value in examples.values(kind).values():
        fields: dict[str, Any] = json.loads(value)
        times = [v for k, v in fields.items() if (k.endswith("_at") or k in {"at", "time"}) and v is not None]
        assert all(len(str(time)) == 13 for time in times)
        if kind.__struct_fields__[-1] in ARRIVAL:
            assert len(value) - value.rindex(b',"') == len(b',"received_at":1234567890123}')


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.types], ids=lambda topic: topic.name)
def test_a_topics_decoder_tells_all_its_types_apart(topic: Topic) -> None:
    decode: Decoder[Message] = Decoder(reduce(or_, topic.types))
    for kind in topic.types:
        for value in examples.values(kind).values():
            assert type(decode(value)) is kind


@EACH_KIND
def test_unknown_fields_pass(kind: type[Message]) -> None:
    decode: Decoder[Message] = Decoder(kind)
    check = validator(kind)
    for value in examples.values(kind).values():
        newer = {**json.loads(value), "added_later": {"by": ["a", "newer", "producer"]}}
        assert decode(encode(newer)) == decode(value)
        check.validate(newer)


@EACH_KIND
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_message_comes_back_equal_and_fits_its_schema(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(instances(kind))
    value = encode(message)
    decode: Decoder[Message] = Decoder(kind)
    assert decode(value) == message
    assert encode(decode(value)) == value
    validator(kind).validate(json.loads(value))


def test_every_example_folder_belongs_to_a_type() -> None:
    folders = {path.name for path in examples.FOLDER.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == {str(kind.__struct_config__.tag) for kind in KINDS}


@EACH_KIND
def test_schema_and_decoder_both_refuse_a_message_without_one_of_its_required_fields(kind: type[Message]) -> None:
    decode: Decoder[Message] = Decoder(kind)
    fields = json.loads(next(iter(examples.values(kind).values())))
    for name in schema.of(kind)["required"]:
        broken = {key: content for key, content in fields.items() if key != name}
        assert not validator(kind).is_valid(broken)
        with pytest.raises(InvalidMessage):
            decode(encode(broken))
