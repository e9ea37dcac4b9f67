"""The published test vectors hold, byte for byte: read, decided, rendered, and on the right topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.lane.model import At, Shared
from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.messages.downlink import PublishMessage
from services.shadow.step import Message, step
from tests.support.shadow import vectors
from tests.support.shadow.heard import record
from tests.support.shadow.vectors import CASES

if TYPE_CHECKING:
    from services.shadow.model import Entry

KEY = b"p1/d1"
decode: Decoder[Any] = Decoder(Message)
decode_said: Decoder[PublishMessage] = Decoder(PublishMessage)


class Hub:
    """One device's row, and what the hub says to the device."""

    def __init__(self) -> None:
        self.row: Entry | None = None
        self.offset = -1

    def fold(self, value: bytes, at: int) -> list[PublishMessage]:
        """``at``: ms."""
        self.offset += 1
        where = At(names.SHADOW_INBOX, 0, self.offset, at, KEY)
        self.row, outputs = step(self.row, decode(value), where, Shared(at, {}))
        return [decode_said(value) for topic, _, value, _ in outputs if topic == names.DOWNLINK_MESSAGES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    hub, ids = Hub(), set[str]()
    start = case["steps"][0]["at"] * 1000 - 1
    assert hub.fold(encode(vectors.registered("p1", "d1", start)), start) == []
    for one in case["steps"]:
        at = one["at"] * 1000 + 789
        if sent := one.get("device"):
            topic = sent["topic"].replace(vectors.DEVICE, "p1/d1")
            said = hub.fold(record(topic, vectors.payload_of(sent), at).value, at)
        else:
            said = hub.fold(encode(vectors.from_elsewhere(one, "p1", "d1", at)), at)
        assert [vectors.template(message.topic, "p1/d1") for message in said] == [told["topic"] for told in one["says"]]
        for message, told in zip(said, one["says"], strict=True):
            expected = vectors.with_texts(told["payload"], msgspec.json.decode(message.payload))
            assert bytes(message.payload) == encode(expected)
            assert message.id not in ids
            ids.add(message.id)


def test_names_of_vectors_are_unique() -> None:
    found = [case["name"] for case in CASES]
    assert len(set(found)) == len(found) >= 57


def test_every_error_code_that_a_device_can_bring_about_has_a_vector() -> None:
    told = [said["payload"] for case in CASES for one in case["steps"] for said in one["says"]]
    contents = [said["payload"]["content"] for said in told if "content" in said.get("payload", {})]
    assert {content["errorcode"] for content in contents} == {str(number) for number in range(400, 410)}
    assert {said["status"] for said in told if "status" in said} >= {
        "success",
        "invalid_json",
        "invalid_state",
        "invalid_version",
        "invalid_shadow_name",
        "no_acknowledgement",
        "document_too_deep",
    }
