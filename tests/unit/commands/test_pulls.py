"""What devices ask of the hub itself: the time, and their tags, of which they are also told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.commands.asking import delete_device, presence, pull, register, retag
from tests.support.commands.hub import Hub


def told(hub: Hub, command: str) -> list[Any]:
    return [
        msgspec.json.decode(message.payload)
        for message in hub.told_by_itself()
        if message.topic.split("/")[3] == command
    ]


def test_the_time_is_told_with_when_the_question_came_and_a_place_for_when_the_answer_leaves() -> None:
    hub = Hub(online=None)
    hub.write(pull("$ntp", b'{"device_time": 1760000000100}', at=hub.time - 3))
    [message] = hub.told_by_itself()
    assert message.topic == f"cmd/p1/d1/$set_ntp/plain/ntp-0-{hub.offset}-0"
    expected = {"device_time": 1_760_000_000_100, "iothub_recv": hub.time - 3, "iothub_send": 0}
    assert msgspec.json.decode(message.payload) == expected
    assert (message.stamp, message.expires_at, message.request_id) == ("iothub_send", hub.time + 5000, None)
    assert hub.rows == {}, "nothing is remembered of it"


@pytest.mark.parametrize("payload", [b"", b"{}", b"7", b'{"device_time":"now"}', b"\xff", b'{"device_time":null}'])
def test_what_the_device_s_clock_says_need_not_be_readable(payload: bytes) -> None:
    hub = Hub()
    hub.write(pull("$ntp", payload))
    assert [found["device_time"] for found in told(hub, "$set_ntp")] == [None]


def test_tags_are_told_to_who_asks() -> None:
    hub = Hub(online=None)
    hub.write(pull("$tags"))
    assert hub.told_by_itself() == [], "it has none that anybody knows of"
    hub.write(register(tags=("line-3", "new"), version=4))
    for _ in range(2):
        hub.write(pull("$tags"))
    assert told(hub, "$set_tags") == [{"tags": ["line-3", "new"], "tags_version": 4}] * 2
    [first, second] = [message.topic.rpartition("/")[2] for message in hub.told_by_itself()]
    assert (first, second) == (f"tags-0-{hub.offset - 1}-0", f"tags-0-{hub.offset}-0")


def test_a_change_is_told_at_once_to_a_device_that_hears() -> None:
    hub = Hub(online=True)
    hub.write(retag("a", version=2))
    hub.write(retag("a", version=2))
    hub.connect("unknown")
    hub.write(retag(version=3))
    expected = [{"tags": ["a"], "tags_version": 2}, {"tags": [], "tags_version": 3}]
    assert told(hub, "$set_tags") == expected


def test_what_was_missed_is_told_when_the_device_is_back_and_only_then_and_once() -> None:
    hub = Hub()
    hub.write(retag("a", version=2))
    hub.write(retag("b", version=3))
    assert hub.told_by_itself() == []
    hub.connect()
    hub.connect("offline")
    hub.connect()
    assert told(hub, "$set_tags") == [{"tags": ["b"], "tags_version": 3}]


def test_a_device_without_tags_that_never_had_any_is_told_nothing() -> None:
    hub = Hub(online=True)
    assert hub.told_by_itself() == []


def test_a_device_that_is_registered_while_it_is_online_is_told_its_tags() -> None:
    hub = Hub(online=None)
    hub.write(presence("online"))
    hub.write(register(tags=("a",)))
    assert told(hub, "$set_tags") == [{"tags": ["a"], "tags_version": 1}]


def test_a_device_that_was_deleted_is_told_nothing_and_its_successor_what_is_its_own() -> None:
    hub = Hub(online=True)
    hub.write(retag("a", version=2))
    hub.write(delete_device(version=3))
    for resource in ("$ntp", "$tags"):
        hub.write(pull(resource))
        assert hub.outcomes[-1] == ("resource_requested", "late")
    assert len(hub.told_by_itself()) == 1
    hub.write(register(tags=("a",), version=4))
    assert told(hub, "$set_tags")[1:] == [{"tags": ["a"], "tags_version": 4}]
