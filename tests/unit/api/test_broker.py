"""What EMQX is answered: request and answer as its documentation has them, with every field it may send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from libs.runtime import metrics
from libs.runtime.owners.reads import Unavailable
from services.api.refusals import LINES, MAX_TEXT, Refusals
from services.api.tokens import Token, issue
from tests.unit.api.devices import HOOK, HUB_KEY, OLD_SECRET, SECRET, device, emqx_world, product, rotated
from tests.unit.api.world import NOW, World

CASES = msgspec.json.decode((Path(__file__).parent / "vectors" / "emqx-hooks.json").read_bytes())
BEARER = {"Authorization": f"Bearer {HOOK}"}


@pytest.fixture
def world() -> World:
    made = emqx_world()
    product(made, "open", device_to_device=True, dynamic_registration=True)
    device(made, "open/d")
    return made


async def ask(world: World, hook: str, body: dict[str, Any]) -> dict[str, Any]:
    async with world.client(BEARER) as client:
        answer = await client.post(f"/v1/broker/emqx/{hook}", json=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    return found


def decisions(hook: str, reason: str) -> float:
    labels = {"asked_by": f"emqx_{hook}", "reason": reason}
    return metrics.registry.get_sample_value("fleetlog_api_device_decisions_total", labels) or 0.0


def connect(password: str = SECRET) -> dict[str, str]:
    return {"username": "p/d", "password": password, "clientid": "p/d", "peerhost": "192.0.2.7"}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_vector(world: World, case: dict[str, Any]) -> None:
    reason = case.get("reason", "allowed")
    before = decisions(case["hook"], reason)
    answer = await ask(world, case["hook"], case["body"])
    assert answer == case.get("answer", answer)
    assert answer["result"] == case.get("result", answer["result"])
    assert answer["is_superuser"] is False
    assert decisions(case["hook"], reason) == before + (answer["result"] != "ignore")


async def test_a_rotated_secret_is_taken_beside_the_new_one_until_its_grace_is_over(world: World) -> None:
    device(world, **rotated(60_000))
    new, old = await ask(world, "authn", connect()), await ask(world, "authn", connect(OLD_SECRET))
    assert (new["client_attrs"], "expire_at" in new) == ({"credential": "c2"}, False)
    assert (old["client_attrs"], old["expire_at"]) == ({"credential": ".c2"}, NOW // 1000 + 60)
    world.now += 60_000
    assert (await ask(world, "authn", connect(OLD_SECRET)))["result"] == "deny"
    assert (await ask(world, "authn", connect()))["result"] == "allow"


async def test_a_disabled_device_may_neither_connect_nor_do_anything(world: World) -> None:
    device(world, enabled=False)
    doing = {"username": "p/d", "action": "publish", "topic": "upload_data/p/d/metrics/m1"}
    assert (await ask(world, "authn", connect()))["result"] == "deny"
    assert (await ask(world, "authz", doing))["result"] == "deny"


async def test_a_token_lets_in_until_it_ends_or_is_revoked(world: World) -> None:
    now = NOW // 1000
    token = issue(HUB_KEY, Token("p/d", "mqtt", "c1", now, now + 600))
    answer = await ask(world, "authn", connect(token))
    assert (answer["result"], answer["expire_at"]) == ("allow", now + 600)
    device(world, credential_id="c2")
    assert (await ask(world, "authn", connect(token)))["result"] == "deny"
    device(world)
    for wrong in (
        issue(HUB_KEY, Token("p/d", "http", "c1", now, now + 600)),
        issue(HUB_KEY, Token("p/e", "mqtt", "c1", now, now + 600)),
        issue("another key" * 4, Token("p/d", "mqtt", "c1", now, now + 600)),
        issue(HUB_KEY, Token("p/d", "mqtt", "c1", now - 600, now)),
    ):
        assert (await ask(world, "authn", connect(wrong)))["result"] == "deny"


async def test_a_registry_that_does_not_answer_lets_nobody_in(world: World) -> None:
    world.reads.failure = Unavailable("registry", "registry", [0])
    before = decisions("authn", "unavailable")
    assert (await ask(world, "authn", connect()))["result"] == "deny"
    assert decisions("authn", "unavailable") == before + 1


@pytest.mark.parametrize("header", [{}, {"Authorization": HOOK}, {"Authorization": "Bearer x"}, {"Authorization": "ä"}])
async def test_only_the_broker_is_answered(world: World, header: dict[str, str]) -> None:
    async with world.client({name: value.encode() for name, value in header.items()}) as client:  # type: ignore[misc]
        answer = await client.post("/v1/broker/emqx/authn", json=connect())
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_without_a_secret_there_are_no_hooks() -> None:
    world = World()
    async with world.client({"Authorization": "Bearer "}) as client:
        answer = await client.post("/v1/broker/emqx/authn", json=connect())
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path")


def test_refusals_are_all_counted_and_told_sparingly() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    before = decisions("authz", "forbidden_topic")
    with capture_logs() as lines:
        for _ in range(LINES + 5):
            refusals.refuse("emqx_authz", "forbidden_topic", topic="x" * 1000)
        now = 1.0
        refusals.refuse("emqx_authz", "forbidden_topic", topic="y")
    assert decisions("authz", "forbidden_topic") == before + LINES + 6
    assert [line["left_out"] for line in lines] == [0] * LINES + [5]
    assert {line["topic"] for line in lines} == {"x" * MAX_TEXT, "y"}
