from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.api.world import World


async def test_health_needs_no_key_and_says_when_the_process_begins_and_ends(world: World) -> None:
    async with world.client({}) as client:
        beginning = await client.get("/health/ready")
        await world.hub.start()
        live, ready = await client.get("/health/live"), await client.get("/health/ready")
        world.hub.stopping.set()
        ending = await client.get("/health/ready")
    assert (beginning.status_code, beginning.json()) == (503, {"ok": False})
    assert (live.status_code, live.json()) == (200, {"ok": True})
    assert ready.status_code == 200
    assert (ending.status_code, ending.json()) == (503, {"ok": False})


async def test_an_unknown_path_is_a_problem(world: World) -> None:
    async with world.client({}) as client:
        answer = await client.get("/v1/nothing", headers={"X-Request-Id": "mine"})
        wrong = await client.post("/health/live")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["code"] == "unknown_path"
    assert answer.json()["request_id"] == "mine"
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
