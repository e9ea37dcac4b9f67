"""The calls that are answered without the framework are answered as by the framework."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime import metrics
from libs.runtime.owners.reads import Unavailable
from libs.runtime.requests.client import NoAnswer, NotAsked
from libs.shadow import document
from libs.topics.messages.presence import PresenceDocument, Session
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import ProductDocument
from services.api.access import Gatekeeper
from services.api.devices import PRESENT, REGISTERED
from services.api.direct import DEVICE, PRESENCE, Direct
from services.api.gate import level_of
from services.api.limits import Buckets
from services.api.settings import HttpSettings
from tests.unit.api.world import NOW, SETTINGS, FakeReads, World, answered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx import Response

PATHS = ("/v1/products/p1/devices/d1", "/v1/products/p1/devices/d1/presence")
OTHERWISE = "?and=unknown"
"""A query that says nothing, and makes the framework answer."""


def inhabited(settings: Any = SETTINGS) -> World:
    """Make a world of the product p1 with the devices d1, online, and d2, never heard of."""
    world = World(settings)
    world.products.held[b"p1"] = ProductDocument("p1", 1, ProductDefaults(), None, None, NOW, NOW)
    world.reads.documents[PRESENT] = {"p1/d1": PresenceDocument("p1", "d1", Session("online", NOW - 5), NOW - 1, NOW)}
    document = {"product_id": "p1", "version": 7, "enabled": True, "tags": ["é"], "tags_version": 0, "attributes": {}}
    more = {"origin": "application", "credential_id": "c", "old_secret_valid_until": None}
    times = {"created_at": NOW, "updated_at": NOW}
    world.reads.documents[REGISTERED] = {
        f"p1/{name}": {**document, **more, **times, "device_id": name} for name in ("d1", "d2")
    }
    return world


async def both_ways(world: World, path: str, headers: dict[str, str]) -> tuple[Response, Response]:
    async with world.client({**headers, "X-Request-Id": "r1"}) as client:
        return await client.get(path), await client.get(path + OTHERWISE)


def counted(route: str, status: int) -> float:
    labels = {"method": "GET", "route": route, "status": str(status)}
    return metrics.registry.get_sample_value("fleetlog_api_requests_total", labels) or 0.0


def limited(world: World) -> dict[str, str]:
    return world.issue("read", products=("p2",))


def expired(world: World) -> dict[str, str]:
    return world.issue("read", expires_at=NOW)


def mistyped(world: World) -> dict[str, str]:
    return {"Authorization": world.issue("read")["Authorization"][:-1] + "_"}


def everything(world: World) -> dict[str, str]:
    return world.issue()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("device", "key", "status"),
    [
        ("p1/devices/d1", everything, 200),
        ("p1/devices/d2", everything, 200),
        ("p1/devices/d3", everything, 404),
        ("p9/devices/d1", everything, 404),
        ("p1/devices/d1", limited, 404),
        ("p1/devices/d1", lambda world: world.issue("admin"), 403),
        ("p1/devices/d1", expired, 401),
        ("p1/devices/d1", mistyped, 401),
        ("p1/devices/d1", lambda _world: {}, 401),
        ("p1/devices/d1", lambda _world: {"Authorization": "Basic YTpi"}, 401),
    ],
)
async def test_both_ways_say_the_same(
    path: str, device: str, key: Callable[[World], dict[str, str]], status: int
) -> None:
    world = inhabited()
    route = "" if status == 404 else DEVICE + path.removeprefix(PATHS[0])
    before = counted(route, status)
    direct, framework = await both_ways(world, path.replace("p1/devices/d1", device), key(world))
    assert direct.status_code == framework.status_code == status
    assert direct.content == framework.content
    assert sorted(direct.headers.multi_items()) == sorted(framework.headers.multi_items())
    assert direct.headers["x-request-id"] == "r1"
    assert counted(route, status) - before == 2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("error", [Unavailable("registry", "registry", [3]), KeyError("of the hub's own")])
async def test_failures_are_told_in_the_same_way(path: str, error: Exception) -> None:
    world = inhabited()
    world.reads.failure = error
    direct, framework = await both_ways(world, path, world.issue())
    assert direct.status_code == framework.status_code >= 500
    assert (direct.content, direct.headers) == (framework.content, framework.headers)


async def test_both_ways_draw_on_one_allowance() -> None:
    world = inhabited(msgspec.structs.replace(SETTINGS, http=HttpSettings(rate=0.001, burst=3)))
    headers = world.issue()
    first, second = await both_ways(world, PATHS[1], headers)
    third, fourth = await both_ways(world, PATHS[1], headers)
    assert [answer.status_code for answer in (first, second, third, fourth)] == [200, 200, 200, 429]
    last, _ = await both_ways(world, PATHS[1], headers)
    assert (last.status_code, "retry-after" in last.headers) == (429, True)


async def test_both_ways_end_a_read_that_takes_too_long() -> None:
    world = inhabited(msgspec.structs.replace(SETTINGS, http=HttpSettings(deadline_s=0.01), answer_s=0.005))

    class Deaf(FakeReads):
        async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> msgspec.Raw | None:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    world.hub.reads = Deaf()
    direct, framework = await both_ways(world, PATHS[1], world.issue())
    assert (direct.status_code, direct.json()["code"]) == (503, "deadline_exceeded")
    assert (direct.content, direct.headers) == (framework.content, framework.headers)


PATCHED = "/v1/products/p1/devices/d1/shadow"
PATCHING = {"Content-Type": "application/merge-patch+json"}


class FakeAnswer:
    """The shadow service, which takes every patch; ``failure`` is raised instead."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure, self.asked = failure, list[Any]()

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        if self._failure is not None:
            raise self._failure
        desired, _ = document.change(document.empty(NOW), NOW, desired=request.desired, reported=None)
        return answered(document.public("p1", "d1", None, desired), 200, 1)


async def patched(
    query: str, body: bytes, headers: dict[str, str], key: Callable[[World], dict[str, str]], owner: FakeAnswer
) -> Response:
    """Patch in a world of its own: a patch changes what the next one meets."""
    world = inhabited()
    world.requests.answer = owner
    async with world.client({**key(world), **headers, "X-Request-Id": "r1"}) as client:
        return await client.patch(PATCHED + query, content=body)


@pytest.mark.parametrize(
    ("body", "headers", "key", "status"),
    [
        (b'{"led":{"on":true}}', PATCHING, everything, 200),
        (b"{}", {"Content-Type": "application/json"}, everything, 200),
        (b'{"a":1}', {**PATCHING, "If-Match": '"3"'}, everything, 200),
        (b'{"a":1}', {**PATCHING, "Idempotency-Key": "once"}, everything, 200),
        (b'{"a":1}', {"Content-Type": "application/json; charset=utf-8"}, everything, 200),
        (b'{"a":"' + 70_000 * b"x" + b'"}', PATCHING, everything, 200),
        (b'{"a":1}', {"Content-Type": "text/plain"}, everything, 415),
        (b"[]", PATCHING, everything, 422),
        (b'{"a":', PATCHING, everything, 400),
        (b"", PATCHING, everything, 400),
        (b'{"a":"\xff"}', PATCHING, everything, 400),
        (b'{"a":' + 70 * b"[" + 70 * b"]" + b"}", PATCHING, everything, 422),
        (b'{"a":99999999999999999999}', PATCHING, everything, 422),
        (b'{"a":1}', PATCHING, lambda world: world.issue("read"), 403),
        (b'{"a":1}', PATCHING, limited, 403),
        (b"[]", PATCHING, expired, 401),
        (b'{"a":1}', PATCHING, lambda _world: {}, 401),
    ],
)
async def test_a_patch_is_carried_out_or_refused_alike(
    body: bytes, headers: dict[str, str], key: Callable[[World], dict[str, str]], status: int
) -> None:
    owners = FakeAnswer(), FakeAnswer()
    direct = await patched("", body, headers, key, owners[0])
    framework = await patched(OTHERWISE, body, headers, key, owners[1])
    assert direct.status_code == framework.status_code == status, (direct.text, framework.text)
    assert direct.content == framework.content
    assert sorted(direct.headers.multi_items()) == sorted(framework.headers.multi_items())
    assert len(owners[0].asked) == (1 if status == 200 else 0)
    if "Idempotency-Key" not in headers:  # whose fingerprint holds the query, too
        assert owners[0].asked == owners[1].asked


@pytest.mark.parametrize(
    "error", [refused(413, "document_too_large"), NoAnswer("nobody"), NotAsked("full"), KeyError("of the hub's own")]
)
async def test_a_patch_that_fails_is_told_alike(error: Exception) -> None:
    owners = FakeAnswer(error), FakeAnswer(error)
    direct = await patched("", b'{"a":1}', PATCHING, everything, owners[0])
    framework = await patched(OTHERWISE, b'{"a":1}', PATCHING, everything, owners[1])
    assert direct.status_code == framework.status_code >= 400
    assert (direct.content, direct.headers) == (framework.content, framework.headers)


async def test_a_body_in_pieces_is_read_whole_and_a_caller_who_leaves_is_left_to_the_framework() -> None:
    world = inhabited()
    world.requests.answer = owner = FakeAnswer()
    direct = Direct(world.hub, Gatekeeper(world.hub, Buckets(9.0, 9, lambda: 0.0)), 1.0)
    headers = [(b"host", b"hub"), (b"content-type", b"application/merge-patch+json"), (b"content-length", b"7")]
    headers.append((b"authorization", world.issue()["Authorization"].encode()))
    scope: Any = {"method": "PATCH", "path": PATCHED, "query_string": b"", "headers": headers, "client": None}
    scope["state"] = {}
    found = direct.find(scope)
    assert found is not None
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    def pieces(*messages: dict[str, Any]) -> Any:
        left = iter(messages)

        async def receive() -> Any:
            return next(left)

        return receive

    halves: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"a', "more_body": True},
        {"type": "http.request", "body": b'":1}'},
    ]
    assert await direct.answer(scope, found, "r1", pieces(*halves), send) is None
    assert ([request.desired for request in owner.asked], sent[0]["status"]) == ([{"a": 1}], 200)
    gone: dict[str, Any] = {"type": "http.disconnect"}
    left = await direct.answer(scope, found, "r1", pieces(halves[0], gone, {"type": "next"}), send)
    assert left is not None
    assert [await left() for _ in range(3)] == [halves[0], gone, {"type": "next"}]
    assert (len(owner.asked), len(sent)) == (1, 2)


@pytest.mark.parametrize(
    ("changed", "route"),
    [
        ({}, PRESENCE),
        ({"path": PATHS[0]}, DEVICE),
        ({"method": "HEAD"}, None),
        ({"query_string": b"at=1"}, None),
        ({"root_path": "/hub"}, None),
        ({"headers": []}, None),
        ({"headers": [(b"host", b"a b")]}, None),
        ({"path": PATCHED}, None),
        ({"method": "PATCH"}, None),
        ({"path": PATHS[0] + ":disable"}, None),
        ({"path": PATHS[0] + "/"}, None),
        ({"path": PATHS[1] + "/history"}, None),
        ({"path": "/v1/products/p1/devices/" + "d" * 65}, None),
        ({"path": "/v1/products/p1/devices/d1\n"}, None),
        ({"path": "/v1/products/p1/devices/\u00e9"}, None),
    ],
)
async def test_whatever_is_said_in_another_way_is_left_to_the_framework(
    changed: dict[str, Any], route: str | None
) -> None:
    world = inhabited()
    buckets = Buckets(1.0, 1, lambda: 0.0)
    direct = Direct(world.hub, Gatekeeper(world.hub, buckets), 1.0)
    plain = {"method": "GET", "path": PATHS[1], "query_string": b"", "headers": [(b"host", b"hub:8080")]}
    scope: Any = {**plain, **changed}
    found = direct.find(scope)
    assert (found is None) == (route is None)
    assert found is None or bool(found[3]) == (route == PRESENCE)


@pytest.mark.parametrize(
    ("more", "plain"),
    [
        ([(b"content-length", b"7")], True),
        ([(b"content-length", b"7"), (b"user-agent", b"tests"), (b"accept", b"*/*")], True),
        ([], False),
        ([(b"content-length", b"65537")], False),
        ([(b"content-length", b"-7")], False),
        ([(b"content-length", b"7"), (b"content-length", b"7")], False),
        ([(b"content-length", b"7"), (b"if-match", b"*")], False),
        ([(b"content-length", b"7"), (b"idempotency-key", b"once")], False),
        ([(b"transfer-encoding", b"chunked")], False),
    ],
)
async def test_a_patch_with_conditions_or_a_large_body_is_left_to_the_framework(
    more: list[tuple[bytes, bytes]], plain: bool
) -> None:
    world = inhabited()
    direct = Direct(world.hub, Gatekeeper(world.hub, Buckets(1.0, 1, lambda: 0.0)), 1.0)
    headers = [(b"host", b"hub"), (b"content-type", b"application/merge-patch+json"), *more]
    scope: Any = {"method": "PATCH", "path": PATCHED, "query_string": b"", "headers": headers}
    assert (direct.find(scope) is not None) == plain


@pytest.mark.parametrize(
    ("method", "status", "seconds", "level"),
    [
        ("GET", 200, 0.01, logging.DEBUG),
        ("GET", 200, 1.5, logging.INFO),
        ("GET", 404, 0.01, logging.INFO),
        ("GET", 503, 0.01, logging.INFO),
        ("POST", 201, 0.01, logging.INFO),
        ("DELETE", 204, 0.01, logging.INFO),
    ],
)
def test_reads_that_go_well_are_quiet(method: str, status: int, seconds: float, level: int) -> None:
    assert level_of(method, status, seconds) == level
