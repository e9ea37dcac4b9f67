"""Answers go where the request says, and only where that can be."""

from __future__ import annotations

import msgspec
import pytest

from libs.runtime.lane.answers import PARTITIONS, answer, refuse
from libs.runtime.lane.model import At
from libs.topics.codec import Decoder
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.registry import DisableDevice
from libs.topics.names import API_REPLIES
from tests.unit.runtime.lane.lab import Lab, Record, Thing, decode, event

AT = At("registry.inbox", 3, 41, 1_760_000_000_000, b"locks/door-1")
read: Decoder[RequestAnswered | RequestRefused] = Decoder(RequestAnswered | RequestRefused)


def request(to: ReplyTo | None) -> DisableDevice:
    return DisableDevice(
        product_id="locks",
        device_id="door-1",
        expected_version=None,
        requested_by="ops",
        requested_at=1_760_000_000_000,
        reply_to=to,
    )


def test_an_answer_goes_to_the_askers_partition_under_its_correlation_id() -> None:
    [(topic, key, value, partition)] = answer(request(ReplyTo(5, "abc-1")), AT, 200, {"enabled": False}, version=7)
    assert (topic, key, partition) == (API_REPLIES, b"abc-1", 5)
    assert read(value) == RequestAnswered("abc-1", 200, msgspec.Raw(b'{"enabled":false}'), 7, AT.timestamp)


def test_a_refusal_says_why_and_what_holds() -> None:
    [(_, _, value, _)] = refuse(
        request(ReplyTo(0, "abc-2")),
        AT,
        409,
        code="version_conflict",
        detail="it is 8",
        advice="read",
        current={"v": 8},
    )
    refused = RequestRefused("abc-2", 409, "version_conflict", "it is 8", "read", msgspec.Raw(b'{"v":8}'), AT.timestamp)
    assert read(value) == refused


def test_nobody_waits_nothing_is_said() -> None:
    assert answer(request(None), AT, 200) == ()
    assert refuse(request(None), AT, 404, code="unknown_device", detail="no", advice="register it") == ()


@pytest.mark.parametrize("partition", [-1, PARTITIONS])
def test_a_request_that_cannot_be_answered_is_a_dead_letter_and_changes_nothing(partition: int) -> None:
    """Produced, such an answer would end the process, at each attempt."""

    def step(row: Thing | None, _event: object, at: At, _shared: object) -> tuple[Thing | None, tuple[object, ...]]:
        return Thing(count=1), answer(request(ReplyTo(partition, "abc-3")), at, 200)

    lab = Lab(step=step, decode=decode)
    record: Record = event(b"k", 0)
    lab.feed(record)
    assert lab.reasons() == ["invalid_message"]
    assert lab.rows() == {}
