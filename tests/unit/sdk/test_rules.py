"""The small rules: tags, the hub's time, waiting, expiry, payloads."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlog_device import tags
from fleetlog_device.backoff import Backoff
from fleetlog_device.clock import OUTSTANDING, HubClock, hub_time
from fleetlog_device.payload import BadPayload, decoded, to_bytes, to_object
from fleetlog_device.requests import Request, deadline, failure, is_expired, resumed, settled
from fleetlog_device.tags import Tags

TOLD = st.builds(Tags, st.frozensets(st.sampled_from(["a", "b", "c"])), st.integers(0, 5))


@given(st.lists(TOLD, unique_by=lambda told: told.version), st.randoms(use_true_random=False), st.data())
def test_tags_end_alike_in_any_order_with_any_repetition(told: list[Tags], order: Any, data: st.DataObject) -> None:
    def fold(news: list[Tags]) -> Tags:
        current = Tags()
        for each in news:
            current = tags.apply(current, each)
        return current

    again = [*told, *data.draw(st.lists(st.sampled_from(told)) if told else st.just([]))]
    order.shuffle(again)
    assert fold(again) == fold(told)


def test_tags_are_read_as_the_hub_sends_them_and_as_they_are_kept() -> None:
    told = tags.read({"tags": ["line-3"], "tags_version": 4})
    assert told == Tags(frozenset({"line-3"}), 4)
    assert tags.read(told.document()) == told


@pytest.mark.parametrize(
    "document",
    [{}, {"tags": "a", "tags_version": 1}, {"tags": ["+"], "tags_version": 1}, {"tags": [], "tags_version": True}],
)
def test_other_tags_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(BadPayload):
        tags.read(document)


class Times:
    def __init__(self, wall: int) -> None:
        self.wall, self.monotonic = wall, 5_000

    def clock(self) -> HubClock:
        return HubClock(lambda: self.wall, lambda: self.monotonic)

    def pass_by(self, ms: int) -> None:
        self.wall += ms
        self.monotonic += ms


@given(ahead=st.integers(-(10**12), 10**12), way=st.integers(0, 5000), pause=st.integers(0, 5000))
def test_the_hub_s_time_is_found_where_both_ways_take_as_long(ahead: int, way: int, pause: int) -> None:
    times = Times(1_700_000_000_000)
    clock = times.clock()
    asked = clock.ask()
    times.pass_by(way)
    received = times.wall + ahead
    times.pass_by(pause)
    sent = times.wall + ahead
    times.pass_by(way)
    assert clock.answer({"device_time": asked, "iothub_recv": received, "iothub_send": sent}) == asked
    assert (clock.offset, clock.synchronised) == (ahead, True)
    assert clock.now() == times.wall + ahead
    times.wall = 0
    times.monotonic += 7
    assert clock.now() == 1_700_000_000_000 + 2 * way + pause + ahead + 7, "whatever is done to the device's own clock"


def test_the_formula_is_the_protocol_s() -> None:
    assert hub_time(1000, 5010, 5020, 1040) == (5010 + 5020 + 1040 - 1000) // 2


def test_only_the_answer_to_a_question_sets_the_clock() -> None:
    times = Times(1_000)
    clock = times.clock()
    questions = [clock.ask() for _ in range(OUTSTANDING + 1)]
    assert len(set(questions)) == len(questions), "two questions within a millisecond are told apart"
    answer = {"iothub_recv": 9_000, "iothub_send": 9_000}
    assert clock.answer({"device_time": 77, **answer}) is None
    assert clock.answer({"device_time": questions[0], **answer}) is None, "too long ago"
    assert clock.answer({"device_time": questions[1], **answer}) == questions[1]
    assert clock.answer({"device_time": questions[1], **answer}) is None, "delivered twice"
    with pytest.raises(BadPayload):
        clock.answer({"device_time": questions[2]})


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_is_within_its_bound_and_the_bound_doubles(failures: int, chance: float) -> None:
    backoff = Backoff(first=0.5, longest=40)
    assert 0 <= backoff.wait(failures, chance) <= 40
    assert backoff.wait(failures, 1.0) == min(40, 0.5 * 2.0 ** min(failures - 1, 60))


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (2, 1)])
def test_a_backoff_that_does_not_wait_is_refused(first: float, longest: float) -> None:
    with pytest.raises(ValueError, match="first"):
        Backoff(first=first, longest=longest)


def test_a_command_ends_at_the_earlier_of_its_two_ends() -> None:
    assert deadline(None, None, 5) is None
    assert deadline(10, None, 5) == 10_000
    assert deadline(None, 3, 5) == 3_005
    assert deadline(10, 3, 5) == 3_005
    assert deadline(1, 30, 5) == 1_000
    assert deadline(1, 30, 5, certain=False) == 30_005
    assert deadline(10, None, 5, certain=False) == 10_000
    assert [is_expired(10_000, now) for now in (9_999, 10_000)] == [False, True]
    assert not is_expired(None, 10**15)


def test_a_command_that_a_process_left_behind_is_answered_not_run() -> None:
    running = Request("r", 0, "t")
    assert json.loads(resumed(running).outcome or b"")["error"]["code"] == "interrupted"
    assert resumed(settled(running, b"done")).outcome == b"done"
    assert len(failure("c", "x" * 10_000)) < 1_000


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (b"\xff", b"\xff"),
        ("ä", b"\xc3\xa4"),
        (None, b""),
        ({"a": [1, "ä"]}, '{"a":[1,"ä"]}'.encode()),
        (False, b"false"),
    ],
)
def test_payloads_go_as_what_they_are(value: Any, raw: bytes) -> None:
    assert to_bytes(value) == raw


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": math.nan}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_bytes(value)


def test_base64_is_decoded_strictly() -> None:
    assert decoded(b"b3Blbg==", "base64") == b"open"
    assert decoded(b"b3Blbg==", "plain") == b"b3Blbg=="
    for bad in (b"b3Blbg", b"b3 Blbg==", b"\xff"):
        with pytest.raises(BadPayload, match="base64"):
            decoded(bad, "base64")


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(BadPayload):
        to_object(payload)
