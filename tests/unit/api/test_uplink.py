"""What a device uploads over HTTP: the event that it is over MQTT, and only by the device itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.owners.reads import Unavailable
from services.api.tokens import Token, issue
from services.api.uplink import NotDelivered
from services.ingest.connections import Observer
from services.ingest.parse import Parser
from tests.unit.api.devices import HUB_KEY, OLD_SECRET, SECRET, basic, device, emqx_world, rotated
from tests.unit.api.world import NOW, World

if TYPE_CHECKING:
    from httpx import Response

BASIC = basic("p/d", SECRET)
URL = "/v1/ingest/p/d/metrics/m1"


@pytest.fixture
def world() -> World:
    return emqx_world()


async def upload(
    world: World, headers: dict[str, str] = BASIC, url: str = URL, body: bytes = b'{"t": 21.5}'
) -> Response:
    async with world.client(headers) as client:
        return await client.post(url, content=body)


def token(**other: Any) -> dict[str, str]:
    now = NOW // 1000
    shown = msgspec.structs.replace(Token("p/d", "http", "c1", now, now + 600), **other)
    return {"Authorization": f"Bearer {issue(HUB_KEY, shown)}"}


@pytest.mark.parametrize("body", [b'{"t": 21.5}', b"\x00\xff", b"", b"[1, 2]", b"text", b"[" * 100 + b"]" * 100])
async def test_the_event_is_the_one_of_mqtt_byte_for_byte(world: World, body: bytes) -> None:
    answer = await upload(world, body=body)
    assert (answer.status_code, answer.json()) == (202, {"message_id": "m1", "received_at": NOW})
    parsed = Parser(Observer("mosquitto:main", 3), 1000)("upload_data/p/d/metrics/m1", body, 0, NOW)
    assert isinstance(parsed, tuple)
    assert world.uplink.sent == [(record.topic, record.key, record.value) for record in parsed]


async def test_a_message_without_id_gets_one(world: World) -> None:
    first, second = [(await upload(world, url="/v1/ingest/p/d/metrics")).json()["message_id"] for _ in range(2)]
    assert first != second
    assert [msgspec.json.decode(value)["message_id"] for _, _, value in world.uplink.sent] == [first, second]


async def test_activity_is_marked_now_and_then(world: World) -> None:
    for seconds in (0, 1, 29, 1):
        world.now += 1000 * seconds
        await upload(world)
    assert [(topic, msgspec.json.decode(value)) for topic, _, value in world.uplink.marked] == [
        ("presence.inbox", {"type": "traffic_seen", "product_id": "p", "device_id": "d", "time": NOW + at})
        for at in (0, 30_000)
    ]


async def test_what_kafka_has_not_taken_is_not_acknowledged(world: World) -> None:
    world.uplink.failure = NotDelivered("Kafka did not take the record")
    answer = await upload(world)
    assert (answer.status_code, answer.json()["code"]) == (503, "no_answer")
    assert "retry-after" in answer.headers


async def test_a_token_for_http_is_as_good_as_the_secret_until_it_ends_or_is_revoked(world: World) -> None:
    assert (await upload(world, token())).status_code == 202
    assert (await upload(world, basic("p/d", token()["Authorization"].split()[1]))).status_code == 202
    for bad in (token(purpose="mqtt"), token(device="p/e"), token(credential_id="c0"), token(expires_at=NOW // 1000)):
        assert (await upload(world, bad)).status_code == 401
    device(world, **rotated(60_000))
    assert (await upload(world, token())).status_code == 401
    assert (await upload(world, basic("p/d", OLD_SECRET))).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("p/d", "x"),
        basic("p/e", SECRET),
        basic("p/d", ""),
        {"Authorization": "Basic !"},
        {"Authorization": "Basic cC9k"},  # without a colon
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer"},
    ],
)
async def test_whoever_is_not_the_device_is_told_one_thing_only(world: World, headers: dict[str, str]) -> None:
    answers = [await upload(world, headers), await upload(world, headers, "/v1/ingest/p/unknown/metrics/m1")]
    for answer, name in zip(answers, ("p/d", "p/unknown"), strict=True):
        assert (answer.status_code, answer.json()["code"]) == (401, "device_unauthorized")
        assert answer.json()["detail"] == f"these are no credentials of {name}"
        assert "Basic" in answer.headers["www-authenticate"]
    assert world.uplink.sent == []


async def test_an_api_key_is_no_device(world: World) -> None:
    assert (await upload(world, world.issue("admin"))).status_code == 401


async def test_a_device_cannot_upload_for_another(world: World) -> None:
    device(world, "p/e")
    assert (await upload(world, BASIC, "/v1/ingest/p/e/metrics/m1")).status_code == 401


async def test_a_disabled_device_is_told_so(world: World) -> None:
    device(world, enabled=False)
    answer = await upload(world)
    assert (answer.status_code, answer.json()["code"]) == (403, "device_disabled")
    assert (await upload(world, basic("p/d", "x"))).status_code == 401  # but not a stranger


@pytest.mark.parametrize(
    ("url", "body", "status", "code"),
    [
        ("/v1/ingest/p/d/$shadow_reported/m1", b"{}", 400, "reserved_name"),
        ("/v1/ingest/p/d/metrics/a b", b"{}", 400, "invalid_name"),
        ("/v1/ingest/p/d/" + "x" * 65 + "/m1", b"{}", 400, "invalid_name"),
        ("/v1/ingest/p/d/metrics/m1", b"x" * 1001, 413, "body_too_large"),
        ("/v1/ingest/p/d/metrics/m1", b"x" * 400_000, 413, "body_too_large"),
    ],
)
async def test_what_is_refused_over_mqtt_is_refused_here(
    world: World, url: str, body: bytes, status: int, code: str
) -> None:
    answer = await upload(world, url=url, body=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert world.uplink.sent == []


async def test_where_nobody_can_tell_whose_secret_it_is_the_device_comes_again(world: World) -> None:
    world.reads.failure = Unavailable("registry", "registry", [0])
    answer = await upload(world)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
