"""The shadow: rules as laws, and conversations with the shadow service's own rules."""

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
from fleetlog_device.shadow_dialects import NAMED_UPDATE, Aliyun
from fleetlog_device.shadow_documents import Accepted, Document, delta, merge, same
from fleetlog_device.shadows import Form, Shadows
from fleetlog_device.store import MemoryStore
from fleetlog_device.topics import CommandTopic, Topics
from tests.support.hub_shadow import HubShadow
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetlog_device.shadow import Shadow

TOPICS = Topics("p1", "d1", "p1/d1")
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


@asynccontextmanager
async def talking(hub: HubShadow, form: str, store: MemoryStore | None = None) -> AsyncIterator[Shadow]:
    own: Form = "iothub" if form == "named" else FORMS[form]
    shadows = Shadows(own, TOPICS, store or MemoryStore(), hub.send)
    shadow = shadows.named("night") if form == "named" else shadows.own

    def publish(topic: str, payload: bytes) -> None:
        read = TOPICS.read(topic)
        if isinstance(read, CommandTopic):
            shadows.receive(read.command, payload)
        elif form == "aliyun":
            shadow.receive(Aliyun.read(payload))

    hub.publish = publish
    tasks: list[asyncio.Task[None]] = []
    shadows.restore()
    shadows.start(lambda work: tasks.append(asyncio.create_task(work)))
    try:
        yield shadow
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


FORMS: dict[str, Form] = {"native": "native", "iothub": "iothub", "aliyun": "aliyun"}
every_form = pytest.mark.parametrize("form", [*FORMS, "named"])


def hub_of(form: str) -> HubShadow:
    return HubShadow("night" if form == "named" else None)


def done(hub: HubShadow, form: str) -> bool:
    """What is desired is reported; where the dialect has a word for it, it is desired no more."""
    return hub.delta == {} and (hub.desired == {} or form in {"native", "named"})


async def settled(hub: HubShadow, form: str) -> None:
    async def there() -> bool:
        return done(hub, form)

    await eventually_async(there, 5)


@every_form
async def test_a_report_is_merged_and_its_version_is_the_hub_s(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        assert await shadow.report({"a": {"b": 1, "c": 2}}) == 1
        assert await shadow.report({"a": {"b": None}}) == 2
        assert hub.reported == shadow.document.reported == {"a": {"c": 2}}
        document = await shadow.get()
        assert (document.reported, document.desired, document.version) == ({"a": {"c": 2}}, {}, 2)


@every_form
async def test_a_shadow_of_which_nothing_was_said_is_empty(form: str) -> None:
    async with talking(hub_of(form), form) as shadow:
        document = await shadow.get()
        assert (document.reported, document.desired, document.version) == ({}, {}, 0)


@every_form
async def test_what_is_deleted_is_reported_no_more(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        await shadow.report({"a": 1, "b": 2})
        assert await shadow.delete("a") == 2
        assert hub.reported == shadow.document.reported == {"b": 2}


@every_form
async def test_a_report_that_was_overtaken_is_made_anew(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        hub.before = lambda: hub.desire({"wanted": 1})
        assert await shadow.report({"a": 1}) == 2
        for number in range(7):
            hub.desire({"wanted": number})
        assert await shadow.report({"a": 2}) == 10
        hub.begin_anew()
        assert await shadow.report({"a": 3}) == 1
        assert hub.reported == {"a": 3}


@pytest.mark.parametrize("form", ["native", "named"])
async def test_in_the_native_form_a_report_is_not_refused_because_something_else_is_desired(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        for number in range(5):
            hub.before = lambda: hub.desire({"wanted": len(hub.heard)})
            await shadow.report({"a": number})
    assert len(hub.heard) == 5, "each report was said once"
    assert hub.reported == {"a": 4}


@every_form
async def test_the_next_process_knows_the_version(form: str) -> None:
    hub, store = hub_of(form), MemoryStore()
    async with talking(hub, form, store) as shadow:
        await shadow.report({"a": 1})
    async with talking(hub, form, store) as shadow:
        await shadow.report({"a": 2})
    assert len(hub.heard) == 2, "nothing had to be asked for"


@every_form
async def test_two_processes_do_not_overwrite_what_they_do_not_know(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        await shadow.report({"a": 1, "b": 1})
        other = MemoryStore()
        async with talking(hub, form, other) as second:
            await second.report({"b": 2})
    async with talking(hub, form) as shadow:
        await shadow.report({"a": 3})
    assert hub.reported == {"a": 3, "b": 2}


@every_form
async def test_what_is_desired_is_done_and_acknowledged(form: str) -> None:
    hub = hub_of(form)
    seen: list[dict[str, Any]] = []
    async with talking(hub, form) as shadow:
        shadow.on_delta(lambda delta, _document: seen.append(delta))
        await shadow.report({"colour": "red", "on": True})
        hub.desire({"colour": "green", "on": True})
        await settled(hub, form)
        assert seen == [{"colour": "green"}]
        assert hub.reported == shadow.document.reported == {"colour": "green", "on": True}
        hub.desire({"colour": "green"})
        await shadow.get()
        await settled(hub, form)
        assert len(seen) == 1, "it is so already"


@every_form
async def test_what_changes_while_it_is_done_is_done_too(form: str) -> None:
    hub = hub_of(form)
    seen: list[dict[str, Any]] = []

    def handler(delta: dict[str, Any], document: Document) -> None:
        seen.append(delta)
        if len(seen) == 1:
            hub.desire({"colour": "blue"})

    async with talking(hub, form) as shadow:
        shadow.on_delta(handler)
        hub.desire({"colour": "green"})
        await settled(hub, form)
    assert seen == [{"colour": "green"}, {"colour": "blue"}]
    assert hub.reported == {"colour": "blue"}


@every_form
async def test_what_changes_while_it_is_acknowledged_is_done_too(form: str) -> None:
    hub = hub_of(form)
    seen: list[dict[str, Any]] = []

    def handler(delta: dict[str, Any], document: Document) -> None:
        seen.append(delta)
        if len(seen) == 1:
            hub.before = lambda: hub.desire({"colour": "blue"})  # the acknowledgement is on its way

    async with talking(hub, form) as shadow:
        shadow.on_delta(handler)
        hub.desire({"colour": "green"})
        await settled(hub, form)
    assert seen == [{"colour": "green"}, {"colour": "blue"}]
    assert hub.reported == {"colour": "blue"}


@every_form
async def test_what_is_desired_while_a_report_holds_the_floor_is_not_acknowledged_unheard(form: str) -> None:
    hub, handled, send = hub_of(form), asyncio.Event(), asyncio.Event()
    at_once = hub.send

    async def held(topic: str, payload: bytes) -> None:
        if b"level" in payload:
            await send.wait()
        await at_once(topic, payload)

    hub.send = held  # type: ignore[method-assign]
    seen: list[dict[str, Any]] = []
    reports: list[asyncio.Task[int]] = []

    async def handler(delta: dict[str, Any], document: Document) -> None:
        seen.append(delta)
        if len(seen) == 1:
            reports.append(asyncio.create_task(shadow.report({"level": 1})))
            await asyncio.sleep(0)  # the report holds the floor from here on
            handled.set()  # and the acknowledgement waits for it

    async with talking(hub, form) as shadow:
        shadow.on_delta(handler)
        hub.desire({"colour": "green"})
        await handled.wait()
        hub.desire({"colour": "blue"})
        send.set()
        await settled(hub, form)
        await asyncio.gather(*reports)
    assert seen == [{"colour": "green"}, {"colour": "blue"}]
    assert hub.reported == {"colour": "blue", "level": 1}


@every_form
async def test_what_comes_together_with_an_answer_is_not_lost(form: str) -> None:
    hub = hub_of(form)
    seen: list[dict[str, Any]] = []
    async with talking(hub, form) as shadow:
        shadow.on_delta(lambda delta, _document: seen.append(delta))
        hub.behind = lambda: hub.desire({"colour": "green"})
        await shadow.report({"level": 1})
        await settled(hub, form)
    assert seen == [{"colour": "green"}]


@every_form
async def test_where_nothing_is_desired_nothing_is_acknowledged(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        await shadow.report({"a": 1})
        assert await shadow.acknowledge() == 1
    assert (len(hub.heard), hub.version) == (1, 1)


@pytest.mark.parametrize("form", ["native", "named"])
async def test_in_the_native_form_nothing_is_said_where_all_is_as_desired(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        await shadow.report({"a": 1})
        assert await shadow.acknowledge() == 1
    assert len(hub.heard) == 1


@every_form
async def test_a_handler_that_did_something_else_reports_that(form: str) -> None:
    hub = hub_of(form)

    async def reported() -> bool:
        return hub.reported == {"level": 100}

    async with talking(hub, form) as shadow:
        shadow.on_delta(lambda _delta, _document: {"level": 100})
        hub.desire({"level": 1000})
        await eventually_async(reported, 5)
    assert hub.desired == {"level": 1000}


@every_form
async def test_a_handler_that_did_nothing_reports_nothing(form: str) -> None:
    hub, asked = hub_of(form), asyncio.Event()

    def handler(_delta: dict[str, Any], _document: Document) -> dict[str, Any]:
        asked.set()
        return {}

    async with talking(hub, form) as shadow:
        shadow.on_delta(handler)
        hub.desire({"level": 1000})
        await asked.wait()
        await shadow.get()
    assert ([message for message in hub.heard if "state" in message], hub.version) == ([], 1)


@every_form
async def test_a_handler_that_fails_says_nothing_and_is_asked_again(form: str) -> None:
    hub = hub_of(form)
    calls = 0

    def handler(delta: dict[str, Any], document: Document) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("jammed")

    async def called() -> bool:
        return calls == 1

    async with talking(hub, form) as shadow:
        shadow.on_delta(handler)
        hub.desire({"a": 1})
        await eventually_async(called, 5)
        assert (hub.heard, hub.desired) == ([], {"a": 1})
        await shadow.get()  # as each new connection does
        await settled(hub, form)


@every_form
async def test_a_late_answer_answers_nobody_else(form: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        hub.lost = 1
        with pytest.raises(NoAnswer):
            await shadow.report({"a": 1}, timeout=0.01)
        hub.before = lambda: shadow.receive(Accepted(99))
        assert await shadow.report({"a": 2}) == 1
        assert hub.reported == {"a": 2}


@pytest.mark.parametrize(
    ("form", "code"),
    [(form, "408" if form == "aliyun" else "document_too_large") for form in (*FORMS, "named")],
)
async def test_a_refusal_has_the_hub_s_code(form: str, code: str) -> None:
    hub = hub_of(form)
    async with talking(hub, form) as shadow:
        with pytest.raises(ShadowRefused) as refused:
            await shadow.report({"a": "x" * 40_000})
        assert refused.value.code == code
        assert await shadow.report({"a": 1}) == 1


async def test_shadows_of_a_device_do_not_meet() -> None:
    hub = HubShadow()
    shadows = Shadows("native", TOPICS, MemoryStore(), hub.send)
    night = shadows.named("night")
    assert shadows.named("night") is night
    for shadow, name in ((shadows.own, None), (night, "night")):
        shadow.receive(Document({"name": name}, version=1))
    shadows.receive(NAMED_UPDATE, b'{"state":{},"metadata":{},"version":2,"reported_version":0,"shadow":"night"}')
    shadows.receive(NAMED_UPDATE, b'{"state":{},"metadata":{},"version":2,"reported_version":0,"shadow":"other"}')
    assert (shadows.own.document.version, night.document.version) == (1, 2)
    with pytest.raises(BadPayload):
        shadows.receive(NAMED_UPDATE, b'{"shadow":1}')
