"""Both shadow dialects over a real broker, against a hub's side that keeps the document."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest

from fleetlog_device import Device, Document, MemoryStore
from tests.support.device_hub import SECRETS, GuardedBroker, Hub, where
from tests.support.hub_shadow import AliyunSide, HubShadow, IotHubSide
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OURS = ("get/p/d/$shadow/", "upload_data/p/d/$shadow_", "/shadow/p/d/update")


@asynccontextmanager
async def keeping(hub: Hub, side: HubShadow) -> AsyncIterator[None]:
    """The hub's part of the conversation, in the order of what it hears."""
    outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    side.publish = lambda topic, payload: outbox.put_nowait((topic, payload))

    async def say() -> None:
        while True:
            await hub.say(*await outbox.get())

    async def hear() -> None:
        answered = 0
        while True:
            for topic, payload in (await hub.hears(*OURS, count=answered + 1))[answered:]:
                await side.send(topic, payload)
                answered += 1

    tasks = [asyncio.create_task(say()), asyncio.create_task(hear())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("dialect", "side"), [("iothub", IotHubSide()), ("aliyun", AliyunSide())])
async def test_a_device_follows_its_shadow(
    broker: GuardedBroker, hub: Hub, dialect: Literal["iothub", "aliyun"], side: HubShadow
) -> None:
    wanted: list[dict[str, Any]] = []
    store = MemoryStore()

    def device() -> Device:
        return Device("p", "d", SECRETS["p/d"], store=store, session_expiry=0, shadow=dialect, **where(broker))

    def follow(delta: dict[str, Any], _document: Document) -> None:
        wanted.append(delta)

    async def settled() -> bool:
        return side.desired == {}

    async with keeping(hub, side):
        async with device() as d:
            d.shadow.on_delta(follow)
            assert await d.shadow.report({"color": "red", "level": 1}) == 1
            side.before = lambda: side.desire({"color": "green"})
            await d.shadow.report({"level": 2})
            await eventually_async(settled)
            assert wanted == [{"color": "green"}]
            assert side.reported == {"color": "green", "level": 2}
        side.desire({"level": 3})  # while the device is away
        async with device() as d:
            d.shadow.on_delta(follow)
            await eventually_async(settled)
            document = await d.shadow.get()
    assert wanted == [{"color": "green"}, {"level": 3}]
    assert (document.reported, document.version) == ({"color": "green", "level": 3}, side.version)
