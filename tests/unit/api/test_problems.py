"""Every error is a problem document with a code of the catalogue, whoever raised it."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.owners.reads import Unavailable
from libs.runtime.requests.client import NoAnswer, NotAsked
from services.api.codes import CODES
from services.api.problems import FRAMEWORK
from services.api.settings import HttpSettings
from services.commands.outcomes import ENDS
from tests.support.api.life import problem
from tests.unit.api.world import SETTINGS, FakeRequests, World, refused

if TYPE_CHECKING:
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered

ROOT = Path(__file__).parents[3]
JSON = {"Content-Type": "application/json"}


def raising(error: Exception) -> Any:
    def answer(_request: Any) -> RequestAnswered:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NoAnswer("no answer from registry.inbox within 10 s"), 503, "no_answer"),
        (NotAsked("1000 requests wait for an answer already"), 503, "not_asked"),
        (refused(409, "device_exists", advice="choose"), 409, "device_exists"),
        (KeyError("of the hub's own"), 500, "internal_error"),
    ],
)
async def test_what_an_owner_does_not_answer_is_told(world: World, error: Exception, status: int, code: str) -> None:
    world.requests.answer = raising(error)
    async with world.client() as client:
        answer = await client.post("/v1/products/p/devices", json={})
    told = problem(answer, status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "hub's own" not in told["detail"]


async def test_a_read_that_nobody_answers_is_told(world: World) -> None:
    world.reads.failure = Unavailable("registry", "registry", [3])
    async with world.client() as client:
        answer = await client.get("/v1/products/p/devices/d")
    assert "3" in problem(answer, 503, "unavailable")["detail"]
    assert answer.headers["retry-after"] == "1"


async def test_a_request_that_takes_too_long_is_ended() -> None:
    settings = msgspec.structs.replace(SETTINGS, http=HttpSettings(deadline_s=0.01), answer_s=0.005)
    world = World(settings)

    class Deaf(FakeRequests):
        async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = 10.0) -> RequestAnswered:  # noqa: ASYNC109 - as the real one
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    world.hub.requests = Deaf()
    async with world.client() as client:
        answer = await client.post("/v1/products/p/devices", json={})
    problem(answer, 503, "deadline_exceeded")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "field"),
    [
        (b"{", JSON, 400, "malformed_body", None),
        (b"\xff", JSON, 400, "malformed_body", None),
        (b"", JSON, 400, "malformed_body", None),
        (b'{"attributes":' + b'{"a":' * 100_000, JSON, 400, "malformed_body", None),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type", None),
        (b"{}", {}, 415, "unsupported_media_type", None),
        (b"[]", JSON, 422, "invalid_request", ""),
        (b'{"tags": ["a", "b/"]}', JSON, 422, "invalid_request", "tags[1]"),
        (b'{"attributes": 1}', JSON, 422, "invalid_request", "attributes"),
        (b'{"tag": []}', JSON, 422, "invalid_request", ""),
        (b'{"device_id": 7}', JSON, 422, "invalid_request", "device_id"),
        (b" " * (1 << 20) + b"{}", JSON, 413, "body_too_large", None),
    ],
)
async def test_a_body_that_does_not_fit_is_told_what_and_where(  # noqa: PLR0917 - pytest gives them by name
    world: World, body: bytes, headers: dict[str, str], status: int, code: str, field: str | None
) -> None:
    async with world.client() as client:
        told = problem(await client.post("/v1/products/p/devices", content=body, headers=headers), status, code)
    assert [error["field"] for error in told.get("errors", ())] == ([] if field is None else [field])
    assert world.requests.asked == []


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=x", "limit"), ("online=maybe", "online"), ("tag=a/b", "tag")]
)
async def test_a_query_that_does_not_fit_is_told_where(world: World, query: str, field: str) -> None:
    async with world.client() as client:
        told = problem(await client.get(f"/v1/products/p/devices?{query}"), 422, "invalid_request")
    assert [(error["field"], error["source"]) for error in told["errors"]] == [(field, "query")]


async def test_a_parameter_that_is_missing_is_named(world: World) -> None:
    async with world.client() as client:
        answer = await client.get("/v1/products/p/devices/d/shadow/diff?from=1")
    told = problem(answer, 422, "invalid_request")
    assert told["errors"] == [{"field": "to", "source": "query", "detail": "it is required"}]


async def test_a_method_that_a_path_has_not_and_a_path_that_is_not_there(world: World) -> None:
    async with world.client() as client:
        answer = await client.put("/v1/products")
        problem(answer, 405, "method_not_allowed")
        assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
        problem(await client.get("/v2"), 404, "unknown_path")
        problem(await client.post("/v1/products/p/devices/d:explode"), 404, "unknown_path")
        problem(await client.post("/v1/products/p/devices/d/:disable"), 404, "unknown_path")


async def test_a_key_that_asks_too_much_is_told_when_to_ask_again() -> None:
    world = World(msgspec.structs.replace(SETTINGS, http=HttpSettings(rate=0.001, burst=2)))
    async with world.client() as client, world.client() as other:
        assert [(await client.get("/v1/products")).status_code for _ in range(2)] == [200, 200]
        answer = await client.get("/v1/products")
        problem(answer, 429, "rate_limited")
        assert 900 < int(answer.headers["retry-after"]) <= 1000
        assert (await other.get("/v1/products")).status_code == 200


def said_by(service: str, *functions: str) -> set[str]:
    """Find the codes that a service's files give to these functions, wherever they stand."""
    found = set[str]()
    for path in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in functions:
                texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
    return found


INDIRECT = {"not_asked", "no_answer", "device_exists", "invalid_name", "idempotency_key_reused"}
"""Said of an exception's class, by another service alone, or by what all lanes share."""
OF_KEYS = {"key_exists", "unknown_key"}
"""What the registry says of API keys, about which it is asked by operators' tools."""

OF_DEVICES = {"invalid_shadow_name"}
"""What the shadow service says of names that the API lets nobody send."""


def test_the_catalogue_of_codes_is_complete_and_holds_nothing_else() -> None:
    own = said_by("api", "Problem", "busy", "_settle") | set(FRAMEWORK.values()) | INDIRECT
    registry = said_by("registry", "Refused", "malformed", "refused") - OF_KEYS
    shadow = said_by("shadow", "Refused", "malformed") - OF_DEVICES
    commands = said_by("commands", "Refused", "malformed") | {code for _, code, _ in ENDS.values()}
    assert (own | registry | shadow | commands) - CODES.keys() == set()
    described = {code for path in ("services/api",) for code in _described(ROOT / path)}
    assert described - CODES.keys() == set()
    assert CODES.keys() - own - registry - shadow - commands - described == set()


def _described(service: Path) -> set[str]:
    found = set[str]()
    for path in service.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "problems":
                found |= {str(one.value) for one in ast.walk(node.value) if isinstance(one, ast.Constant)}
    return found
