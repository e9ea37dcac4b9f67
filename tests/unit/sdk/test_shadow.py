"""The shadow: rules as laws, both dialects as vectors, and conversations with a hub that others use too."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlog_device.errors import NoAnswer, ShadowRefused
from fleetlog_device.payload import BadPayload
from fleetlog_device.shadow import Shadow
from fleetlog_device.shadow_dialects import REPLY, UPDATE, Aliyun, IotHub
from fleetlog_device.shadow_documents import Accepted, Document, Refused, delta, merge, same
from fleetlog_device.store import MemoryStore
from fleetlog_device.topics import CommandTopic, Topics
from tests.support.hub_shadow import NOW, AliyunSide, HubShadow, IotHubSide
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPICS = Topics("p", "d", "p/d")
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=6
)
STATES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


@given(STATES.map(without_nulls), STATES.map(without_nulls))
def test_what_reports_its_delta_has_none(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    assert delta(desired, merge(reported, delta(desired, reported))) == {}


@given(STATES, STATES)
def test_a_merge_repeated_changes_nothing(state: dict[str, Any], change: dict[str, Any]) -> None:
    once = merge(state, change)
    assert same(merge(once, change), once)


@given(STATES)
def test_nothing_differs_from_itself(state: dict[str, Any]) -> None:
    assert delta(state, state) == {}
    assert same(state, json.loads(json.dumps(state)))


def test_the_delta_is_nested_and_knows_json_s_types() -> None:
    desired = {"a": {"b": 1, "c": 2}, "on": True, "list": [1, 2]}
    reported = {"a": {"b": 1, "c": 3}, "on": 1, "list": [1, 2], "other": 1}
    assert delta(desired, reported) == {"a": {"c": 2}, "on": True}
    assert not same([True], [1])


def test_the_vectors_of_the_aliyun_form() -> None:
    dialect = Aliyun(TOPICS)
    assert dialect.pull("m") == ("/shadow/p/d/update", b'{"method":"get"}')
    report = b'{"method":"update","state":{"reported":{"color":"red"}},"version":1}'
    assert dialect.report("m", {"color": "red"}, 0) == ("/shadow/p/d/update", report)
    gone = b'{"method":"delete","state":{"reported":{"color":"null"}},"version":5}'
    assert dialect.delete("m", ("color",), 4) == ("/shadow/p/d/update", gone)
    both = b'{"method":"update","state":{"reported":{"color":"green"},"desired":"null"},"version":4}'
    assert dialect.acknowledge("m", {"color": "green"}, 3) == ("/shadow/p/d/update", both)

    success = b'{"method":"reply","payload":{"status":"success","version":1},"timestamp":1469564576}'
    assert dialect.read(success) == Accepted(1)
    refusal = (
        b'{"method":"reply","payload":{"status":"error","content":{"errorcode":"409","errormessage":"no"}},'
        b'"timestamp":1469564576}'
    )
    assert dialect.read(refusal) == Refused("409", "no")
    metadata = {"reported": {"color": {"timestamp": 1469564492}}, "desired": {"color": {"timestamp": 1469564576}}}
    content = {"state": {"reported": {"color": "red"}, "desired": {"color": "green"}}, "metadata": metadata}
    control = {"method": "control", "payload": content, "version": 2, "timestamp": 1469564576}
    document = Document({"color": "red"}, {"color": "green"}, metadata, 2, 1469564576)
    assert dialect.read(json.dumps(control).encode()) == document
    got = {**control, "method": "reply", "payload": {"status": "success", **content}}
    assert dialect.read(json.dumps(got).encode()) == document
    empty = {"method": "reply", "payload": {"status": "success", "state": {}, "metadata": {}}, "version": 0}
    assert dialect.read(json.dumps(empty).encode()) == Document()


def test_the_vectors_of_the_iothub_form() -> None:
    dialect = IotHub(TOPICS)
    assert dialect.pull("m")[0] == "get/p/d/$shadow/m"
    report = b'{"state":{"reported":{"lights":"off"}},"version":1}'
    assert dialect.report("m", {"lights": "off"}, 1) == ("upload_data/p/d/$shadow_reported/m", report)
    acknowledgement = b'{"state":{"desired":null},"version":1}'
    assert dialect.acknowledge("m", {"lights": "off"}, 1) == ("upload_data/p/d/$shadow_updated/m", acknowledgement)

    update = (
        b'{"state":{"reported":{"lights":"on"},"desired":{"lights":"off"}},"metadata":{"reported":{"lights":'
        b'{"timestamp":123456789}}},"version":1,"timestamp":123456789}'
    )
    metadata = {"reported": {"lights": {"timestamp": 123456789}}}
    assert dialect.read(UPDATE, update) == Document({"lights": "on"}, {"lights": "off"}, metadata, 1, 123456789)
    assert dialect.read(UPDATE, b'{"state":{},"metadata":{},"version":0}') == Document()
    assert dialect.read(REPLY, b'{"status":"success","timestamp":123456789,"version":2}') == Accepted(2)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"state":[],"version":1}',
        b'{"state":{"desired":1},"version":1}',
        b'{"state":{},"version":"1"}',
        b'{"method":"reply","payload":{"status":"error"}}',
        b'{"method":"other","payload":{"status":"success","version":1}}',
        b'{"method":"reply","payload":{"status":"success"}}',
    ],
)
def test_what_is_not_of_the_dialect_is_refused(payload: bytes) -> None:
    with pytest.raises(BadPayload):
        IotHub.read(UPDATE, payload)
    with pytest.raises(BadPayload):
        Aliyun.read(payload)


@asynccontextmanager
async def talking(hub: HubShadow, store: MemoryStore | None = None) -> AsyncIterator[Shadow]:
    dialect = IotHub(TOPICS) if isinstance(hub, IotHubSide) else Aliyun(TOPICS)
    shadow = Shadow(dialect, store or MemoryStore(), hub.send)
    shadow.restore()

    def publish(topic: str, payload: bytes) -> None:
        read = TOPICS.read(topic)
        shadow.receive(IotHub.read(read.command, payload) if isinstance(read, CommandTopic) else Aliyun.read(payload))

    hub.publish = publish
    following = asyncio.create_task(shadow.follow())
    try:
        yield shadow
    finally:
        following.cancel()
        await asyncio.wait({following})


both_dialects = pytest.mark.parametrize("side", [IotHubSide, AliyunSide])


@both_dialects
async def test_a_report_is_merged_and_its_version_is_the_hub_s(side: type[HubShadow]) -> None:
    hub = side()
    async with talking(hub) as shadow:
        assert await shadow.report({"a": {"b": 1, "c": 2}}) == 1
        assert await shadow.report({"a": {"b": None}}) == 2
        assert hub.reported == shadow.document.reported == {"a": {"c": 2}}
        assert await shadow.get() == Document({"a": {"c": 2}}, {}, {}, 2, NOW)


@both_dialects
async def test_what_is_deleted_is_reported_no_more(side: type[HubShadow]) -> None:
    hub = side()
    async with talking(hub) as shadow:
        await shadow.report({"a": 1, "b": 2})
        assert await shadow.delete("a") == 2
        assert hub.reported == shadow.document.reported == {"b": 2}


@both_dialects
async def test_a_report_that_was_overtaken_is_made_anew(side: type[HubShadow]) -> None:
    hub = side()
    async with talking(hub) as shadow:
        hub.before = lambda: hub.desire({"wanted": 1})
        assert await shadow.report({"a": 1}) == 2
        hub.version = 17
        assert await shadow.report({"a": 2}) == 18
        hub.version = 3  # the device was deleted and registered again
        assert await shadow.report({"a": 3}) == 4
        assert hub.reported == {"a": 3}


@both_dialects
async def test_the_next_process_knows_the_version(side: type[HubShadow]) -> None:
    hub, store = side(), MemoryStore()
    async with talking(hub, store) as shadow:
        await shadow.report({"a": 1})
    async with talking(hub, store) as shadow:
        await shadow.report({"a": 2})
    assert len(hub.heard) == 2, "nothing had to be asked for"


@both_dialects
async def test_what_is_desired_is_done_and_acknowledged(side: type[HubShadow]) -> None:
    hub = side()
    seen: list[dict[str, Any]] = []

    async def done() -> bool:
        return hub.desired == {}

    async with talking(hub) as shadow:
        shadow.on_delta(lambda delta, _document: seen.append(delta))
        await shadow.report({"colour": "red", "on": True})
        hub.desire({"colour": "green", "on": True})
        await eventually_async(done, 5)
        assert seen == [{"colour": "green"}]
        assert hub.reported == shadow.document.reported == {"colour": "green", "on": True}
        hub.desire({"colour": "green"})
        await eventually_async(done, 5)
        assert len(seen) == 1, "it is so already: acknowledged without a call"


@both_dialects
async def test_what_changes_while_it_is_done_is_done_too(side: type[HubShadow]) -> None:
    hub = side()
    seen: list[dict[str, Any]] = []

    def handler(delta: dict[str, Any], document: Document) -> None:
        seen.append(delta)
        if len(seen) == 1:
            hub.desire({"colour": "blue"})

    async def done() -> bool:
        return hub.desired == {}

    async with talking(hub) as shadow:
        shadow.on_delta(handler)
        hub.desire({"colour": "green"})
        await eventually_async(done, 5)
    assert seen == [{"colour": "green"}, {"colour": "blue"}]
    assert hub.reported == {"colour": "blue"}


@both_dialects
async def test_a_handler_that_did_something_else_reports_that(side: type[HubShadow]) -> None:
    hub = side()

    async def done() -> bool:
        return hub.reported == {"level": 100}

    async with talking(hub) as shadow:
        shadow.on_delta(lambda _delta, _document: {"level": 100})
        hub.desire({"level": 1000})
        await eventually_async(done, 5)
    assert hub.desired == {"level": 1000}


@both_dialects
async def test_a_handler_that_fails_says_nothing_and_is_asked_again(side: type[HubShadow]) -> None:
    hub = side()
    calls = 0

    def handler(delta: dict[str, Any], document: Document) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("jammed")

    async def called() -> bool:
        return calls == 1

    async def done() -> bool:
        return hub.desired == {}

    async with talking(hub) as shadow:
        shadow.on_delta(handler)
        hub.desire({"a": 1})
        await eventually_async(called, 5)
        assert (hub.heard, hub.desired) == ([], {"a": 1})
        await shadow.get()  # as each new connection does
        await eventually_async(done, 5)


@both_dialects
async def test_a_late_answer_answers_nobody_else(side: type[HubShadow]) -> None:
    hub = side()
    async with talking(hub) as shadow:
        hub.lost = 1
        with pytest.raises(NoAnswer):
            await shadow.report({"a": 1}, timeout=0.01)
        hub.before = lambda: shadow.receive(Accepted(99))
        assert await shadow.report({"a": 2}) == 1
        assert hub.reported == {"a": 2}


async def test_a_refusal_has_the_hub_s_code() -> None:
    hub = AliyunSide()
    async with talking(hub) as shadow:
        with pytest.raises(ShadowRefused, match="128") as refused:
            await shadow.report({f"k{n}": n for n in range(129)})
        assert refused.value.code == "408"
        assert await shadow.report({"a": 1}) == 1
