from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libs.topics.messages.presence import PresenceDocument, Session
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import ProductDocument
from services.api.devices import PRESENT, REGISTERED
from services.api.moments import stored
from tests.unit.api.world import NOW, World

if TYPE_CHECKING:
    from httpx import AsyncClient

BASE = "/v1/products/p1/devices/d1"
ONLINE = PresenceDocument("p1", "d1", Session("online", NOW - 5), NOW - 1, NOW)


@pytest.fixture
def world(world: World) -> World:
    """Of the products p1 and p2, with the device d1 online, and d2 never heard of."""
    for product in ("p1", "p2"):
        document = ProductDocument(product, 1, ProductDefaults(), None, None, NOW, NOW)
        world.products.held[product.encode()] = document
    world.reads.documents[PRESENT] = {"p1/d1": ONLINE, "p2/d1": ONLINE}
    registered = {"product_id": "p1", "device_id": "d2", "version": 1, "enabled": True, "tags": [], "tags_version": 0}
    more: dict[str, Any] = {
        "attributes": {},
        "origin": "application",
        "credential_id": "c",
        "old_secret_valid_until": None,
    }
    world.reads.documents[REGISTERED] = {"p1/d2": {**registered, **more, "created_at": NOW, "updated_at": NOW}}
    return world


async def get(client: AsyncClient, path: str, **query: Any) -> tuple[int, Any]:
    answer = await client.get(path, params=query)
    return answer.status_code, answer.json()


async def test_presence_is_what_the_owner_tells(world: World) -> None:
    async with world.client() as client:
        status, body = await get(client, f"{BASE}/presence")
        never = await get(client, "/v1/products/p1/devices/d2/presence")
        unknown = await get(client, "/v1/products/p1/devices/d3/presence")
        nowhere = await get(client, "/v1/products/p9/devices/d1/presence")
    assert status == 200
    assert (body["session"]["state"], body["last_traffic_at"], body["at"]) == ("online", NOW - 1, None)
    assert (never[0], never[1]["session"]) == (200, {"state": "offline", "since": None, "channels": []})
    assert (unknown[0], unknown[1]["code"]) == (404, "unknown_device")
    assert (nowhere[0], nowhere[1]["code"]) == (404, "unknown_product")


@pytest.mark.parametrize("at", [str(NOW), "2025-10-09T08:53:20Z", "2025-10-09T10:53:20+02:00"])
async def test_presence_at_a_moment_is_asked_of_the_past(world: World, at: str) -> None:
    world.history.rows = [("unknown", NOW - 7)]
    async with world.client() as client:
        status, body = await get(client, f"{BASE}/presence", at=at)
    assert (status, body["session"]["state"], body["session"]["since"], body["at"]) == (200, "unknown", NOW - 7, NOW)
    [question] = world.history.asked
    assert question.parameters == {"product": "p1", "device": "d1", "moment": stored(NOW)}


@pytest.mark.parametrize("at", ["yesterday", "-1", "2025-10-09T08:53:20", "99999999999999", "1e3", ""])
async def test_what_is_no_moment_is_refused(world: World, at: str) -> None:
    async with world.client() as client:
        status, body = await get(client, f"{BASE}/presence", at=at)
    assert (status, body["code"], body["errors"][0]["field"]) == (422, "invalid_request", "at")


async def test_a_batch_tells_of_each_device_once_and_of_no_product_that_the_key_may_not_know(world: World) -> None:
    names = [("p1", "d1"), ("p1", "d1"), ("p1", "d2"), ("p1", "d3"), ("p2", "d1"), ("p9", "d1")]
    wanted = [{"product_id": product, "device_id": device} for product, device in names]
    async with world.client(world.issue("read", products=("p1",))) as client:
        answer = await client.post("/v1/presence:batch", json={"devices": wanted})
        many = await client.post("/v1/presence:batch", json={"devices": wanted * 200})
    body = answer.json()
    assert answer.status_code == 200
    assert [(one["device_id"], one["session"]["state"]) for one in body["items"]] == [
        ("d1", "online"),
        ("d2", "offline"),
    ]
    assert sorted((one["product_id"], one["device_id"]) for one in body["unknown"]) == [
        ("p1", "d3"),
        ("p2", "d1"),
        ("p9", "d1"),
    ]
    assert body["unavailable"] == []
    assert (many.status_code, many.json()["code"]) == (422, "invalid_request")


async def test_counts_are_of_one_product(world: World) -> None:
    world.reads.counts = {"p1/online": 3, "p1/unknown": 1, "p2/online": 8, "p10/offline": 5}
    async with world.client() as client:
        assert await get(client, "/v1/products/p1/presence") == (200, {"online": 3, "offline": 0, "unknown": 1})


def transition(offset: int) -> tuple[Any, ...]:
    texts = ("i1", "online", "offline", "deleted", "", "c1", "", "ch1", "registry")
    return (*texts, NOW, NOW + 1, NOW, 3, offset)


async def test_a_history_goes_on_where_the_page_before_it_ended(world: World) -> None:
    world.history.rows = [transition(9), transition(8), transition(7)]
    async with world.client() as client:
        _, first = await get(client, f"{BASE}/presence/history", limit=2, **{"from": str(NOW - 9), "to": str(NOW)})
        _, second = await get(client, f"{BASE}/presence/history", limit=3, cursor=first["next_cursor"])
        strange = await get(client, f"{BASE}/presence/history", cursor="cGxhbnQtNy9wcmVzcy0x")
    assert [(one["channel_id"], one["previous_channel_id"], one["reason"]) for one in first["items"]] == [
        (None, "ch1", None)
    ] * 2
    assert second["next_cursor"] is None
    asked = [question.parameters for question in world.history.asked]
    assert [one["limit"] for one in asked] == [3, 4]
    assert (asked[0]["since"], asked[0]["to"]) == (stored(NOW - 9), stored(NOW))
    assert [asked[1][f"last_{name}"] for name in ("at", "partition", "offset")] == [NOW, 3, 8]
    assert (strange[0], strange[1]["code"]) == (400, "invalid_cursor")


async def test_a_time_that_ends_before_it_begins_is_refused(world: World) -> None:
    async with world.client() as client:
        status, body = await get(client, f"{BASE}/presence/history", **{"from": str(NOW), "to": str(NOW)})
    assert (status, body["errors"][0]["field"]) == (422, "from")
