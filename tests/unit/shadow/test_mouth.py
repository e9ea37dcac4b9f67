"""Which messages go out on which topics."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.runtime.lane.model import At
from libs.shadow import document
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.downlink import PublishMessage
from services.shadow import mouth
from services.shadow.model import Speech

AT = At("shadow.inbox", 4, 217, 1_469_564_576_789, b"p1/d1")
DOCUMENT = document.change(document.empty(0), AT.timestamp, desired={"color": "green"}, reported=None)[0]
decode: Decoder[PublishMessage] = Decoder(PublishMessage)

FIRST, ALIAS = "/shadow/p1/d1/get", "/shadow/get/p1/d1"
DEVICE_FIRST, VERB_FIRST = Speech("aliyun", "device_first"), Speech("aliyun", "verb_first")
IOTHUB, NATIVE = Speech("iothub"), Speech("native")


def command(name: str, n: int = 0) -> str:
    return f"cmd/p1/d1/{name}/plain/shadow-4-217-{n}"


def published(outputs: Any) -> list[PublishMessage]:
    assert {(topic, key, partition) for topic, key, _, partition in outputs} == {
        (names.DOWNLINK_MESSAGES, b"p1/d1", -1)
    }
    return [decode(value) for _, _, value, _ in outputs]


def topics(outputs: Any) -> list[str]:
    return [message.topic for message in published(outputs)]


@pytest.mark.parametrize(
    ("speech", "told"),
    [
        (None, [FIRST, ALIAS, command("$update_shadow", 5)]),
        (DEVICE_FIRST, [FIRST]),
        (VERB_FIRST, [ALIAS]),
        (IOTHUB, [command("$update_shadow", 3)]),
        (NATIVE, [command("$update_shadow", 3)]),
    ],
)
def test_what_is_desired_is_told_in_the_dialect_spoken_last(speech: Speech | None, told: list[str]) -> None:
    messages = published(mouth.changed(AT, speech, None, DOCUMENT, n=3))
    assert [message.topic for message in messages] == told
    assert [message.id for message in messages] == [f"shadow.inbox-4-217-{n}" for n in range(3, 3 + len(told))]


@pytest.mark.parametrize("speech", [None, DEVICE_FIRST, IOTHUB, NATIVE])
def test_a_named_shadow_has_commands_of_its_own_whatever_the_device_speaks(speech: Speech | None) -> None:
    (message,) = published(mouth.changed(AT, speech, "night", DOCUMENT, n=0))
    assert message.topic == command("$update_named_shadow")
    told = msgspec.json.decode(message.payload)
    assert (told["shadow"], told["delta"], told["reported_version"]) == ("night", {"color": "green"}, 0)
    (reply,) = published(mouth.accepted(AT, "native", speech, "night", DOCUMENT, n=0))
    assert reply.topic == command("$named_shadow_reply")


@pytest.mark.parametrize(("speech", "topic"), [(DEVICE_FIRST, FIRST), (VERB_FIRST, ALIAS)])
def test_an_aliyun_device_is_answered_on_the_form_that_it_used(speech: Speech, topic: str) -> None:
    for outputs in (
        mouth.accepted(AT, "aliyun", speech, None, DOCUMENT, n=0),
        mouth.refused(AT, "aliyun", speech, None, DOCUMENT, n=0, code="405", detail="it is empty"),
        mouth.whole(AT, "aliyun", speech, None, DOCUMENT, n=0),
    ):
        assert topics(outputs) == [topic]


@pytest.mark.parametrize("via", ["iothub", "native"])
def test_a_conflict_is_answered_by_the_document(via: Any) -> None:
    for shadow in (None, "night"):
        conflict = mouth.refused(AT, via, IOTHUB, shadow, DOCUMENT, n=0, code="version_conflict", detail="it is 1")
        assert conflict == mouth.whole(AT, via, IOTHUB, shadow, DOCUMENT, n=0)
    (other,) = published(
        mouth.refused(AT, via, IOTHUB, None, DOCUMENT, n=0, code="document_too_deep", detail="9 levels")
    )
    assert other.topic == command("$shadow_reply")
    assert msgspec.json.decode(other.payload)["status"] == "document_too_deep"


def test_an_aliyun_device_is_told_of_a_conflict_by_its_number() -> None:
    outputs = mouth.refused(AT, "aliyun", VERB_FIRST, None, DOCUMENT, n=0, code="version_conflict", detail="it is 1")
    (message,) = published(outputs)
    content = msgspec.json.decode(message.payload)["payload"]["content"]
    assert content == {"errorcode": "409", "errormessage": "version_conflict: it is 1"}


@pytest.mark.parametrize(("via", "said"), [("iothub", False), ("native", True)])
def test_only_native_devices_are_told_of_reported_version(via: Any, said: bool) -> None:
    (message,) = published(mouth.whole(AT, via, IOTHUB, None, DOCUMENT, n=0))
    assert ("reported_version" in msgspec.json.decode(message.payload)) is said


def test_a_message_is_for_the_device_and_never_expires() -> None:
    (message,) = published(mouth.accepted(AT, "iothub", IOTHUB, None, DOCUMENT, n=2))
    assert msgspec.structs.replace(message, payload=msgspec.Raw(b"")) == PublishMessage(
        id="shadow.inbox-4-217-2",
        product_id="p1",
        device_id="d1",
        tag=None,
        topic=command("$shadow_reply", 2),
        qos=1,
        encoding="json",
        payload=msgspec.Raw(b""),
        expires_at=None,
        content_type="application/json",
        request_id=None,
        at=AT.timestamp,
    )
    assert bytes(message.payload) == b'{"status":"success","timestamp":1469564576,"version":1}'
