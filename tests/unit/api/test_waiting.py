"""``?wait=``: the answer comes when the device has reported, when it cannot any more, or when the time is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.shadow import document
from libs.topics import names
from libs.topics.codec import encode
from services.api.frames import Record
from services.api.problems import busy
from services.api.shadow import OWN
from tests.unit.api.test_convergence import AT, new
from tests.unit.api.world import answered

if TYPE_CHECKING:
    from libs.topics.messages.shadow_changes import ShadowChanged
    from tests.unit.api.world import World

PATH = "/v1/products/p/devices/d/shadow"
PATCH = {"a": 1}


class Owner:
    """The owner of the device p/d, which makes the patch as the only change of a new shadow."""

    def __init__(self, world: World) -> None:
        self.world, self.log, self.asked = world, new(), asyncio.Event()
        world.requests.answer = self.answer
        self.show()

    def show(self) -> None:
        self.world.reads.documents[OWN] = {"p/d": document.public("p", "d", None, self.log.document)}

    def answer(self, request: Any) -> Any:
        assert self.world.streams.listening == [(names.SHADOW_EVENTS, "p", "d")], "nobody listens yet"
        self.tell(self.log.desire(AT, request.desired))
        body = document.public("p", "d", None, self.log.document)
        self.asked.set()
        return answered(body, 200, body.version)

    def tell(self, event: ShadowChanged, kind: str = "shadow_changed") -> None:
        self.show()
        place = (names.SHADOW_EVENTS, 0)
        self.world.streams.heard.put_nowait(Record(place, event.version, "p", kind, encode(event), "d"))


@pytest.fixture
def owner(world: World) -> Owner:
    return Owner(world)


async def patched(owner: Owner, wait: str = "30s", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with owner.world.client() as client:
        answer = await client.patch(PATH, json=PATCH, params={"wait": wait}, headers=headers or {})
    assert owner.world.streams.listening == []
    return answer.status_code, answer.json()


async def when_asked(owner: Owner) -> None:
    async with asyncio.timeout(10):
        await owner.asked.wait()


async def test_it_is_answered_as_soon_as_the_device_has_reported(owner: Owner) -> None:
    answer = asyncio.create_task(patched(owner))
    await when_asked(owner)
    owner.tell(replace(owner.log.report(AT, {"a": 7}), shadow="of another name"))
    owner.tell(owner.log.report(AT, {"b": 1}), kind="shadow_change_refused")
    owner.tell(owner.log.report(AT, {"a": 1}))
    status, body = await answer
    assert (status, body["state"]["reported"], body["delta"]) == (200, {"a": 1, "b": 1}, {})


async def test_what_overrides_it_ends_the_waiting(owner: Owner) -> None:
    answer = asyncio.create_task(patched(owner))
    await when_asked(owner)
    owner.tell(owner.log.desire(AT, {"a": 2}))
    status, body = await answer
    assert (status, body["state"]["desired"]) == (202, {"a": 2})


async def test_the_end_of_the_time_and_of_the_process_end_it_too(owner: Owner) -> None:
    status, body = await patched(owner, "1s")
    assert (status, body["version"], body["delta"]) == (202, 1, PATCH)
    owner.world.streams.heard.put_nowait(None)
    assert (await patched(owner))[0] == 202


async def test_what_is_shown_as_reported_is_not_said_to_be_late(owner: Owner) -> None:
    """It was reported in the last moment: the owner shows it, and nobody has heard of it yet."""
    answer = asyncio.create_task(patched(owner, "1s"))
    await when_asked(owner)
    owner.log.report(AT, PATCH)
    owner.show()
    status, body = await answer
    assert (status, body["delta"]) == (200, {})


async def test_a_repeated_request_asks_what_has_happened_since(owner: Owner) -> None:
    """Its answer may be that of the first attempt."""
    decide = owner.answer

    def long_ago(request: Any) -> Any:
        answer = decide(request)
        owner.log.report(AT, {"a": 1})
        owner.show()
        return answer

    owner.world.requests.answer = long_ago
    status, body = await patched(owner, headers={"Idempotency-Key": "again"})
    assert (status, body["version"]) == (200, 2)


async def test_a_shadow_that_is_no_more_is_told_as_the_patch_made_it(owner: Owner) -> None:
    answer = asyncio.create_task(patched(owner))
    await when_asked(owner)
    owner.tell(owner.log.delete(AT))
    owner.world.reads.failure = busy("unavailable", "the owner moves")
    status, body = await answer
    assert (status, body["version"], body["state"]) == (202, 1, {"desired": PATCH})


async def test_without_kafka_nothing_is_asked(owner: Owner) -> None:
    owner.world.streams.failure = busy("unavailable", "no Kafka")
    status, body = await patched(owner)
    assert (status, body["code"]) == (503, "unavailable")
    assert owner.world.requests.asked == []


@pytest.mark.parametrize("wait", ["0s", "31s", "10", "1m", "s", "1s\n", "-1s"])
async def test_only_up_to_30_seconds_can_be_waited(owner: Owner, wait: str) -> None:
    status, body = await patched(owner, wait)
    assert (status, body["code"], body["errors"][0]["field"]) == (422, "invalid_request", "wait")
    assert owner.world.requests.asked == []
