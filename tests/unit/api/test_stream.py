from __future__ import annotations

import pytest

from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import ProductDocument
from services.api import frames
from tests.unit.api.world import NOW, World

STREAM = "/v1/products/p1/stream"


@pytest.fixture
def world(world: World) -> World:
    world.products.held[b"p1"] = ProductDocument("p1", 1, ProductDefaults(), None, None, NOW, NOW)
    return world


async def test_a_stream_tells_what_the_hub_tells_and_ends_with_it(world: World) -> None:
    world.streams.chunks = [b"retry: 1000\n\n", b"event: ended\ndata: {}\n\n"]
    async with world.client() as client:
        answer = await client.get(STREAM, headers={"Last-Event-ID": "~p1.2.3.4"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b"".join(world.streams.chunks)
    position = {("presence.transitions", number): number + 1 for number in range(4)}
    assert world.streams.opened == [("p1", frames.DEFAULT, position)]


async def test_kinds_of_events_can_be_chosen(world: World) -> None:
    async with world.client() as client:
        for types in ("data_uploaded,device_deleted", "shadow_changed,shadow_change_refused,status_changed"):
            assert (await client.get(STREAM, params={"types": types})).status_code == 200
        for types in ("device_deleted,api_key_issued", "tagged_patch_applied"):
            strange = await client.get(STREAM, params={"types": types})
            assert (strange.status_code, strange.json()["errors"][0]["field"]) == (422, "types")
    assert [kinds for _, kinds, _ in world.streams.opened] == [
        {"data_uploaded", "device_deleted"},
        {"shadow_changed", "shadow_change_refused", "status_changed"},
    ]


@pytest.mark.parametrize("position", ["17", "~p1.2.3", "~x1.2.3.4", "~p1.2.3.4~p1.2.3.4"])
async def test_what_is_no_position_is_refused(world: World, position: str) -> None:
    async with world.client() as client:
        answer = await client.get(STREAM, headers={"Last-Event-ID": position})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_position")


async def test_another_product_is_not_there(world: World) -> None:
    async with world.client(world.issue("read", products=("p2",))) as client:
        answer = await client.get(STREAM)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")
