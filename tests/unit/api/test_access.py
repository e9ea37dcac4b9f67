"""Who is let in, and what they are told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from litestar import get
from litestar.di import NamedDependency  # noqa: TC002 - Litestar reads the annotations
from litestar.params import FromPath  # noqa: TC002 - likewise
from msgspec.structs import replace

from services.api.access import Caller, needs
from services.api.settings import HttpSettings
from tests.unit.api.devices import HOOK, SECRET, SETTINGS, basic, device
from tests.unit.api.world import NOW, World

if TYPE_CHECKING:
    from httpx import Response


@get("/v1/products/{product_id:str}/probe", guards=[needs("command")])
async def probe(caller: NamedDependency[Caller], product_id: FromPath[str]) -> str:
    return f"{caller.name} {product_id}"


@pytest.fixture
def guarded(world: World) -> World:
    world.app.register(probe)
    return world


async def ask(world: World, headers: dict[str, str], product_id: str = "plant-7") -> Response:
    async with world.client(headers) as client:
        return await client.get(f"/v1/products/{product_id}/probe")


async def test_a_key_with_the_scope_is_let_in_under_its_name(guarded: World) -> None:
    answer = await ask(guarded, guarded.issue("command", name="mes"))
    assert (answer.status_code, answer.text) == (200, "mes plant-7")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc", "Bearer fl_aaaaaaaaaaaa_" + "x" * 43])
async def test_whoever_shows_no_valid_key_is_asked_for_one(guarded: World, header: str) -> None:
    answer = await ask(guarded, {"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_ends_with_its_time_and_with_its_deletion(guarded: World) -> None:
    headers = guarded.issue("command", expires_at=NOW + 1)
    assert (await ask(guarded, headers)).status_code == 200
    guarded.now += 1
    assert (await ask(guarded, headers)).status_code == 401
    guarded.now -= 1
    guarded.keys.held.clear()
    assert (await ask(guarded, headers)).status_code == 401


async def test_a_key_without_the_scope_is_told_so(guarded: World) -> None:
    answer = await ask(guarded, guarded.issue("read"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "command" in answer.json()["detail"]


async def test_a_key_of_one_product_is_told_of_another_that_there_is_none(guarded: World) -> None:
    headers = guarded.issue("command", products=("plant-7",))
    assert (await ask(guarded, headers)).status_code == 200
    answer = await ask(guarded, headers, "plant-8")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")


@pytest.mark.parametrize("name", ["a%2Fb", "+", "%23", "a%20b", "x" * 65, "%C3%A4", "a%00"])
async def test_what_is_no_name_is_refused_before_anything_else_is_done_with_it(guarded: World, name: str) -> None:
    answer = await ask(guarded, guarded.issue("command"), name)
    assert (answer.status_code, answer.json()["code"]) in ((400, "invalid_name"), (404, "unknown_path"))


@pytest.fixture
def strict() -> World:
    """Three failures from one address, and the next one in a hundred seconds."""
    made = World(replace(SETTINGS, http=HttpSettings(failures_rate=0.01, failures_burst=3)))
    device(made)
    return made


WRONG: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "an API key": ("/v1/products/plant-7/devices", {"Authorization": "Bearer fl_aaaaaaaaaaaa_" + "x" * 43}, {}),
    "a device": ("/v1/ingest/p/d/climate/1", basic("p/d", "guess"), basic("p/d", SECRET)),
    "the broker": ("/v1/broker/emqx/authn", {"Authorization": "Bearer guess"}, {"Authorization": f"Bearer {HOOK}"}),
}


@pytest.mark.parametrize("who", WRONG)
async def test_an_address_may_fail_so_often_and_right_credentials_pass_all_the_same(strict: World, who: str) -> None:
    path, wrong, right = WRONG[who]
    async with strict.client({}) as client:
        answers = [await client.post(path, json={}, headers=wrong) for _ in range(5)]
        passed = await client.post(path, json={}, headers=right or strict.issue("admin"))
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) > 1
    assert passed.status_code not in (401, 429)


@pytest.mark.parametrize("name", ["a%0Ab", "%0A", "a%0D%0A"])
async def test_a_line_break_in_a_name_is_a_bad_name_before_a_verb_too(guarded: World, name: str) -> None:
    async with guarded.client(guarded.issue("admin")) as client:
        answer = await client.post(f"/v1/products/{name}/devices/press-1:disable")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_name")
