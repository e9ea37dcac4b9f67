"""Short-lived tokens: who gets one, what it says, and what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.tokens import InvalidToken, Token, is_token, issue, read
from tests.unit.api.devices import HUB_KEY, OLD_SECRET, SECRET, basic, device, emqx_world, rotated
from tests.unit.api.world import NOW, World

if TYPE_CHECKING:
    from httpx import Response

SECONDS = NOW // 1000
TOKEN = Token("p/d", "mqtt", "c1", SECONDS, SECONDS + 600)
names = st.text("abc-_XYZ019", min_size=1, max_size=64)


@pytest.fixture
def world() -> World:
    return emqx_world()


async def ask(world: World, headers: dict[str, str], path: str = "p/devices/d", **wish: Any) -> Response:
    async with world.client(headers) as client:
        return await client.post(f"/v1/products/{path}:issue-token", json={"for": "mqtt", **wish})


@given(names, names, st.sampled_from(["mqtt", "http"]), names, st.integers(1, 3600))
def test_a_token_says_what_was_put_in(product: str, device_id: str, purpose: Any, credential: str, ttl: int) -> None:
    token = Token(f"{product}/{device_id}", purpose, credential, SECONDS, SECONDS + ttl)
    text = issue(HUB_KEY, token)
    assert is_token(text)
    assert read(HUB_KEY, text, purpose, NOW) == token
    assert read(HUB_KEY, text, purpose, NOW + 1000 * ttl - 1) == token
    with pytest.raises(InvalidToken, match="expired"):
        read(HUB_KEY, text, purpose, NOW + 1000 * ttl)


def forged(**claims: Any) -> str:
    said = {"iss": "fleetlog", "sub": "p/d", "aud": "mqtt", "iat": SECONDS, "exp": SECONDS + 9, "cid": "c1"} | claims
    text = issue(HUB_KEY, TOKEN).split(".")
    unsigned = jwt.encode({name: value for name, value in said.items() if value is not None}, "", "none").split(".")
    return ".".join((text[0], unsigned[1], text[2]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        forged(),  # another payload under a good signature
        jwt.encode({"sub": "p/d", "aud": "mqtt"}, "", "none"),
        issue("another key of the hub", TOKEN),
        issue(HUB_KEY, Token("p/d", "http", "c1", SECONDS, SECONDS + 600)),
        issue(HUB_KEY, Token("p/d", "mqtt", "c1", SECONDS + 60, SECONDS + 600)),  # made in the future
    ],
)
def test_whatever_else_is_shown_is_none(text: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        read(HUB_KEY, text, "mqtt", NOW)
    assert caught.value.reason == "token_invalid"


async def test_a_device_gets_one_for_its_secret(world: World) -> None:
    answer = await ask(world, basic("p/d", SECRET), ttl_s=60)
    assert (answer.status_code, answer.json()["expires_at"]) == (201, NOW + 60_000)
    token = read(HUB_KEY, answer.json()["token"], "mqtt", NOW)
    assert token == Token("p/d", "mqtt", "c1", SECONDS, SECONDS + 60)


async def test_an_application_gets_one_with_the_scope_that_can_also_rotate_the_secret(world: World) -> None:
    answer = await ask(world, world.issue("admin"))
    assert (answer.status_code, answer.json()["expires_at"]) == (201, NOW + 600_000)
    assert (await ask(world, world.issue("command"))).json()["code"] == "forbidden"
    assert (await ask(world, world.issue("admin", products=("q",)))).json()["code"] == "unknown_product"
    assert (await ask(world, world.issue("admin"), "p/devices/e")).json()["code"] == "unknown_device"
    device(world, enabled=False)
    assert (await ask(world, world.issue("admin"))).json()["code"] == "device_disabled"


async def test_a_token_does_not_beget_another(world: World) -> None:
    token = issue(HUB_KEY, Token("p/d", "http", "c1", SECONDS, SECONDS + 600))
    for headers in (basic("p/d", token), {"Authorization": f"Bearer {token}"}):
        assert (await ask(world, headers)).status_code == 401


async def test_a_secret_within_its_grace_makes_none_that_outlives_it(world: World) -> None:
    device(world, **rotated(60_000))
    assert (await ask(world, basic("p/d", OLD_SECRET))).json()["expires_at"] == NOW + 60_000


async def test_a_broker_that_cannot_check_tokens_is_told_of_before_it_refuses_them() -> None:
    world = emqx_world(broker="mosquitto")
    answer = await ask(world, basic("p/d", SECRET))
    assert (answer.status_code, answer.json()["code"]) == (409, "tokens_not_supported")
    assert "mosquitto" in answer.json()["detail"]
    assert (await ask(world, basic("p/d", SECRET), **{"for": "http"})).status_code == 201


@pytest.mark.parametrize("wish", [{"ttl_s": 3601}, {"ttl_s": 0}, {"for": "coap"}, {"more": 1}])
async def test_a_wish_that_does_not_fit_is_refused(world: World, wish: dict[str, Any]) -> None:
    assert (await ask(world, basic("p/d", SECRET), **wish)).json()["code"] == "invalid_request"
