"""A device that holds its product's secret gets its own: once, and the same however often it asks in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime import secrets
from libs.topics.messages.registry import RegisterDevice
from services.api.allowance import Allowance
from services.api.settings import JoinSettings
from tests.unit.api.devices import HUB_KEY, PRODUCT_SECRET, SECRET, basic, emqx_world, product
from tests.unit.api.world import NOW, World, answered, refused

if TYPE_CHECKING:
    from httpx import Response

    from libs.topics.messages.hub import RequestAnswered

MESSAGE = "AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def world() -> World:
    return open_world()


def open_world(**join: float) -> World:
    made = emqx_world(join=JoinSettings(**join))  # type: ignore[arg-type]
    product(made, dynamic_registration=True)
    made.requests.answer = lambda _request: answered(None, 201)
    return made


async def ask(
    world: World, device: str = "new", secret: str = PRODUCT_SECRET, message: str | None = MESSAGE, of: str = "p"
) -> Response:
    headers = {} if message is None else {"Idempotency-Key": message}
    async with world.client(basic(f"{of}/{device}", secret) | headers) as client:
        return await client.post(f"/v1/products/{of}/devices/{device}:join")


async def test_the_answer_is_all_that_the_device_needs(world: World) -> None:
    answer = await ask(world)
    assert answer.status_code == 201
    found = answer.json()
    assert found["mqtt"] == {"host": "127.0.0.1", "port": 1883, "username": "p/new", "client_id": "p/new"}
    ((inbox, key, request),) = world.requests.asked
    assert isinstance(request, RegisterDevice)
    assert (inbox, key, request.origin, request.requested_by) == (
        "registry.inbox",
        b"p/new",
        "first_contact",
        "joining",
    )
    assert secrets.verify(found["secret"], request.credential.hash)
    assert found["secret"] == secrets.derive(HUB_KEY, secrets.device_owner("p", "new"), request.credential.id)


async def test_the_same_words_get_the_same_answer_from_any_replica(world: World) -> None:
    first, second = await ask(world), await ask(open_world())
    assert first.json() == second.json()
    other = await ask(world, message="B" * 22)
    random = [(await ask(world, message=None)).json()["secret"] for _ in range(2)]
    assert len({first.json()["secret"], other.json()["secret"], *random}) == 4


async def test_a_device_that_is_registered_already_needs_somebody_else(world: World) -> None:
    def exists(_: object) -> RequestAnswered:
        raise refused(409, "device_exists")

    world.requests.answer = exists
    answer = await ask(world)
    assert (answer.status_code, answer.json()["code"]) == (409, "device_exists")
    assert "rotate" in answer.json()["advice"]


async def test_strangers_learn_nothing(world: World) -> None:
    product(world, "closed")
    answers = [
        await ask(world, secret=SECRET),
        await ask(world, secret=SECRET, of="closed"),
        await ask(world, secret=PRODUCT_SECRET, of="unknown"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "join_unauthorized")}
    async with world.client(basic("p/other", PRODUCT_SECRET)) as client:
        assert (await client.post("/v1/products/p/devices/new:join")).status_code == 401
    assert world.requests.asked == []


async def test_a_product_lets_no_device_join_unless_it_says_so(world: World) -> None:
    product(world, dynamic_registration=False)
    answer = await ask(world)
    assert (answer.status_code, answer.json()["code"]) == (403, "joining_off")


@pytest.mark.parametrize("message", ["short", "A" * 21, "A" * 65, "A" * 21 + "/", "A" * 21 + " "])
async def test_a_message_id_that_can_be_guessed_is_refused(world: World, message: str) -> None:
    assert (await ask(world, message=message)).json()["code"] == "invalid_message_id"


@pytest.mark.parametrize("device", ["a b", "x" * 65, "$new"])
async def test_what_is_no_name_is_refused(world: World, device: str) -> None:
    assert (await ask(world, device)).json()["code"] == "invalid_name"
    assert world.requests.asked == []


async def test_too_many_of_a_product_are_told_when_to_come_again() -> None:
    world = open_world(product_rate=0.1, product_burst=2)
    answers = [await ask(world, f"d{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10


async def test_too_many_attempts_from_one_address_are_refused_before_anything_is_checked() -> None:
    world = open_world(address_rate=0.1, address_burst=2)
    answers = [await ask(world, secret="wrong") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=40), st.integers(1, 3))
def test_nobody_gets_more_than_is_allowed(steps: list[tuple[str, float]], burst: int) -> None:
    allowance, now, taken = Allowance(0.5, burst), 0.0, dict[str, int]()
    for name, pause in steps:
        now += pause
        wait = allowance.take(name, now)
        if not wait:
            taken[name] = taken.get(name, 0) + 1
        assert taken.get(name, 0) <= burst + 0.5 * now + 1e-6
        assert 0 <= wait <= 2


def test_the_memory_of_names_is_bounded() -> None:
    allowance = Allowance(0.001, 1, capacity=3)
    assert [allowance.take(name, NOW) for name in "abcd"] == [0] * 4
    assert allowance.take("d", NOW) == 1000
    assert allowance.take("a", NOW) == 0  # forgotten
