"""What a bulk registration says where the hub falls silent in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.runtime import secrets
from libs.runtime.requests.client import NoAnswer
from libs.topics.messages.registry import RegisterDevice
from tests.support.api.life import create, problem
from tests.unit.api.registry import FakeRegistry
from tests.unit.api.world import SETTINGS

if TYPE_CHECKING:
    from libs.topics.messages.hub import RequestAnswered
    from tests.unit.api.world import World

PATH = "/v1/products/p/devices:bulk"
BODY = {"devices": [{"device_id": f"d{number}"} for number in range(5)]}
HEADERS = {"Idempotency-Key": "k"}


async def test_devices_behind_the_one_without_answer_are_not_asked_and_come_with_the_repetition(world: World) -> None:
    registry = FakeRegistry(world)

    def falters(request: Any) -> RequestAnswered:
        if isinstance(request, RegisterDevice) and request.device_id == "d2":
            raise NoAnswer("no answer from registry.inbox within 10 s")
        return registry.decide(request)

    async with world.client() as client:
        await create(client, "p")
        world.requests.answer = falters
        first = (await client.post(PATH, json=BODY, headers=HEADERS)).json()
        world.requests.answer = registry.decide
        second = (await client.post(PATH, json=BODY, headers=HEADERS)).json()
    assert [result["outcome"] for result in first["results"]] == ["created"] * 2 + ["unanswered"] * 3
    assert [result["code"] for result in first["results"][2:]] == ["no_answer", "not_asked", "not_asked"]
    assert [first[kind] for kind in ("created", "exists", "refused", "unanswered")] == [2, 0, 0, 3]
    assert [result["outcome"] for result in second["results"]] == ["created"] * 5
    assert second["results"][:2] == first["results"][:2]


async def test_where_nobody_answers_at_all_it_is_a_problem(world: World) -> None:
    def silent(_request: Any) -> RequestAnswered:
        raise NoAnswer("no answer from registry.inbox within 10 s")

    world.requests.answer = silent
    async with world.client() as client:
        answer = await client.post(PATH, json=BODY)
    problem(answer, 503, "no_answer")
    assert answer.headers["retry-after"] == "1"


async def test_only_hashes_are_asked_for_and_each_is_of_the_secret_that_is_shown(world: World) -> None:
    FakeRegistry(world)
    async with world.client() as client:
        await create(client, "p")
        results = (await client.post(PATH, json=BODY)).json()["results"]
    asked = {
        request.device_id: request for _, _, request in world.requests.asked if isinstance(request, RegisterDevice)
    }
    for result in results:
        credential = asked[result["device_id"]].credential
        assert secrets.verify(result["secret"], credential.hash)
        assert result["secret"] not in repr(asked)
        owner = secrets.device_owner("p", result["device_id"])
        assert result["secret"] == secrets.derive(SETTINGS.secrets_key.reveal(), owner, credential.id)


async def test_the_request_may_hold_ten_thousand_devices_and_no_more(world: World) -> None:
    FakeRegistry(world)
    async with world.client() as client:
        await create(client, "p")
        many = [{"device_id": f"d{number}", "tags": ["a"]} for number in range(10_001)]
        answer = await client.post(PATH, json={"devices": many[:-1]})
        assert answer.json()["created"] == 10_000
        problem(await client.post(PATH, json={"devices": many}), 422, "invalid_request")
        problem(
            await client.post(PATH, json={"devices": [{"attributes": {"a": "x" * (8 << 20)}}]}), 413, "body_too_large"
        )
