"""Commands and calls that are answered without the framework are carried out, and answered, as by the framework."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.requests.client import NoAnswer, NotAsked
from services.api import asking
from services.api.settings import HttpSettings
from tests.unit.api.test_commands import ENTRY
from tests.unit.api.test_direct import OTHERWISE, everything, expired, inhabited, limited
from tests.unit.api.world import SETTINGS, FakeRequests, World, answered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx import Response

JSON = {"Content-Type": "application/json"}
ENDS = ("commands", "rpc")


@pytest.fixture(autouse=True)
def _same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "token_bytes", lambda size: size * b"r")


class Ledger:
    """The commands service, which takes everything; ``failure`` is raised instead."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure, self.asked = failure, list[Any]()

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        if self._failure is not None:
            raise self._failure
        said = {"request_id": request.request_id, "mode": request.mode, "command": request.command}
        return answered({**ENTRY, **said, "device_id": request.device_id}, 200, 1)


async def told(
    path: str, body: bytes, headers: dict[str, str], key: Callable[[World], dict[str, str]], owner: Ledger
) -> Response:
    world = inhabited()
    world.requests.answer = owner
    async with world.client({**key(world), **headers, "X-Request-Id": "r1"}) as client:
        return await client.post(f"/v1/products/{path}", content=body)


def alike(direct: Response, framework: Response, status: int) -> None:
    assert direct.status_code == framework.status_code == status, (direct.text, framework.text)
    assert direct.content == framework.content
    assert sorted(direct.headers.multi_items()) == sorted(framework.headers.multi_items())


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("device", "body", "headers", "key", "status"),
    [
        ("p1/devices/d1", b'{"name":"unlock","payload": {"door" : 2}}', JSON, everything, 2),
        ("p1/devices/d1", b'{"name":"unlock"}', {"Content-Type": "application/merge-patch+json"}, everything, 2),
        ("p1/devices/d1", b'{"name":"unlock","payload_base64":"AAE="}', JSON, everything, 2),
        ("p1/devices/d1", b'{"name":"unlock","payload":"\xc3\xa9"}', {**JSON, "If-Match": "*"}, everything, 2),
        ("p1/devices/d1", b'{"name":"unlock"}', {**JSON, "Idempotency-Key": "\x7f"}, everything, 400),
        ("p1/devices/d1", b'{"name":"p2p"}', JSON, everything, 400),
        ("p1/devices/d1", b'{"name":"a b"}', JSON, everything, 422),
        ("p1/devices/d1", b'{"name":"a","ttl_s":0,"timeout_s":60}', JSON, everything, 422),
        ("p1/devices/d1", b'{"name":"a","payload":1,"payload_base64":"AAE="}', JSON, everything, 422),
        ("p1/devices/d1", b'{"name":"a","payload":"' + 65_400 * b"x" + b'"}', JSON, everything, 2),
        ("p1/devices/d1", b'{"name":"a","payload":"' + 66_000 * b"x" + b'"}', JSON, everything, 413),
        ("p1/devices/d1", b'{"name":"a","payload":' + 70 * b"[" + 70 * b"]" + b"}", JSON, everything, 422),
        ("p1/devices/d1", b'{"name":', JSON, everything, 400),
        ("p1/devices/d1", b"", JSON, everything, 400),
        ("p1/devices/d1", b'{"name":"unlock"}', {"Content-Type": "text/plain"}, everything, 415),
        ("p1/devices/d1", b'{"name":"unlock"}', JSON, lambda world: world.issue("read"), 403),
        ("p1/devices/d1", b'{"name":"unlock"}', JSON, limited, 403),
        ("p1/devices/d1", b'{"name":"unlock"}', JSON, lambda world: world.issue("command", products=("p2",)), 404),
        ("p1/devices/d1", b"[]", JSON, expired, 401),
    ],
)
async def test_both_ways_say_and_do_the_same(  # noqa: PLR0917 - a row of the table
    end: str, device: str, body: bytes, headers: dict[str, str], key: Callable[[World], dict[str, str]], status: int
) -> None:
    owners = Ledger(), Ledger()
    direct = await told(f"{device}/{end}", body, headers, key, owners[0])
    framework = await told(f"{device}/{end}{OTHERWISE}", body, headers, key, owners[1])
    alike(direct, framework, {"commands": 202, "rpc": 200}[end] if status == 2 else status)
    assert len(owners[0].asked) == (1 if status == 2 else 0)
    assert owners[0].asked == owners[1].asked
    assert ("location" in direct.headers) == (status == 2)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "error",
    [
        refused(409, "device_offline"),
        refused(429, "queue_full"),
        refused(404, "unknown_device"),
        NoAnswer("nobody"),
        NotAsked("full"),
        KeyError("of the hub's own"),
    ],
)
async def test_what_fails_is_told_alike(end: str, error: Exception) -> None:
    owners = Ledger(error), Ledger(error)
    body = b'{"name":"unlock"}'
    direct = await told(f"p1/devices/d3/{end}", body, JSON, everything, owners[0])
    framework = await told(f"p1/devices/d3/{end}{OTHERWISE}", body, JSON, everything, owners[1])
    assert direct.status_code >= 400
    alike(direct, framework, direct.status_code)


async def test_a_call_has_the_time_that_its_device_gets_beyond_that_of_others() -> None:
    world = inhabited(msgspec.structs.replace(SETTINGS, http=HttpSettings(deadline_s=0.01), answer_s=0.005))

    class Deaf(FakeRequests):
        async def ask(self, *_: Any) -> Any:
            await asyncio.sleep(0.1)
            raise NoAnswer("nobody")

    world.hub.requests = Deaf()
    async with world.client({**world.issue(), **JSON}) as client:
        body = b'{"name":"unlock","timeout_s":0.1}'
        for query in ("", OTHERWISE):
            told = [
                await client.post(f"/v1/products/p1/devices/d1/{end}{query}", content=body)
                for end, body in (("commands", b'{"name":"unlock"}'), ("rpc", body))
            ]
            assert [answer.json()["code"] for answer in told] == ["deadline_exceeded", "rpc_timed_out"]
