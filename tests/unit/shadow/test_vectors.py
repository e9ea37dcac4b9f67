"""The published test vectors hold, byte for byte: read, decided, rendered, and on the right topics."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.topics.codec import encode
from tests.support.shadow import vectors
from tests.support.shadow.heard import heard
from tests.support.shadow.hub import Hub, published
from tests.support.shadow.vectors import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    hub, ids = Hub(), set[str]()
    for one in case["steps"]:
        hub.time = one["at"] * 1000 + 789
        if sent := one.get("device"):
            topic = sent["topic"].replace(vectors.DEVICE, "p1/d1")
            message = heard(topic, vectors.payload_of(sent), hub.time)
        else:
            message = vectors.from_elsewhere(one, "p1", "d1", hub.time)
        said = published(hub.write(message))
        assert [vectors.template(message.topic, "p1/d1") for message in said] == [told["topic"] for told in one["says"]]
        for message, told in zip(said, one["says"], strict=True):
            expected = vectors.with_texts(told["payload"], msgspec.json.decode(message.payload))
            assert bytes(message.payload) == encode(expected)
            assert message.id not in ids
            ids.add(message.id)


def test_names_of_vectors_are_unique() -> None:
    found = [case["name"] for case in CASES]
    assert len(set(found)) == len(found) >= 59


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
