"""Devices that ask for themselves, on the real registry, broker and guard: they join, get tokens and upload."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
import httpx
import msgspec
import pytest

from devstack.ports import HOST
from devstack.stack import Stack
from libs.topics import names
from tests.integration.api.calling import access, client, ready
from tests.support.polling import eventually_async
from tests.support.records import await_records, read_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

DEADLINE = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A hub that lets nobody in who is not registered."""
    with Stack(tmp_path_factory.mktemp("home"), services=("registry", "ingest", "guard", "api")) as running:
        ready(running)
        yield running


async def product(stack: Stack, product_id: str, **defaults: Any) -> str:
    """Create a product whose devices may register themselves; returns its secret."""
    async with client(stack) as api:
        body = {"product_id": product_id, "dynamic_registration": True} | defaults
        answer = await api.post("/v1/products", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


def itself(stack: Stack, username: str, password: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=access(stack).url, auth=(username, password), timeout=DEADLINE)


@asynccontextmanager
async def session(stack: Stack, username: str, password: str) -> AsyncIterator[aiomqtt.Client]:
    """A session at the guarded listener, once the guard has let it in: it learns of a new secret within a second."""

    async def enter() -> aiomqtt.Client | None:
        found = aiomqtt.Client(HOST, stack.mqtt_port, username=username, password=password, identifier=username)
        try:
            return await found.__aenter__()
        except aiomqtt.exceptions.MqttConnectError:
            return None

    mqtt = await eventually_async(enter, DEADLINE, describe=f"{username} is let in")
    assert mqtt is not None
    try:
        yield mqtt
    finally:
        await mqtt.__aexit__(None, None, None)


async def join(mqtt: aiomqtt.Client, device: str, message_id: str) -> dict[str, Any]:
    await mqtt.subscribe(f"registered/{device}/{message_id}", qos=1)
    await mqtt.publish(f"register/{device}/{message_id}", b"", qos=1)
    async with asyncio.timeout(DEADLINE):
        async for message in mqtt.messages:
            if str(message.topic) == f"registered/{device}/{message_id}":
                found: dict[str, Any] = msgspec.json.decode(message.payload)
                return found
    raise AssertionError("the session ended without an answer")


async def test_a_device_that_joins_over_http_works_at_once(home: Stack) -> None:
    secret, message_id = await product(home, "http"), secrets.token_urlsafe(16)
    async with itself(home, "http/d1", secret) as device:
        first, second = [
            await device.post("/v1/products/http/devices/d1:join", headers={"Idempotency-Key": message_id})
            for _ in range(2)
        ]
        other = await device.post("/v1/products/http/devices/d1:join")
    assert (first.status_code, first.json()) == (201, second.json())
    assert (other.status_code, other.json()["code"]) == (409, "device_exists")
    own = first.json()["secret"]
    assert first.json()["mqtt"]["port"] == home.mqtt_port
    async with itself(home, "http/d1", own) as device, session(home, "http/d1", own) as mqtt:
        await mqtt.publish("upload_data/http/d1/t/by-mqtt", b'{"t": 1}', qos=1)
        assert (await device.post("/v1/ingest/http/d1/t/by-http", content=b'{"t": 1}')).status_code == 202
    async with itself(home, "http/d1", secret) as stranger:
        assert (await stranger.post("/v1/ingest/http/d1/t/forged", content=b"{}")).status_code == 401

    found = [record.message for record in await_records(home.kafka, names.DEVICE_TELEMETRY, 2, key=b"http/d1")]
    assert {event["message_id"] for event in found} == {"by-mqtt", "by-http"}
    alike = [event | {"message_id": "", "packet_id": 0, "received_at": 0} for event in found]
    assert alike[0] == alike[1]


async def test_a_device_that_joins_over_mqtt_is_answered_on_a_topic_of_its_own(home: Stack) -> None:
    secret, message_id = await product(home, "mqtt"), secrets.token_urlsafe(16)
    async with session(home, "mqtt/$register", secret) as mqtt:
        first = await join(mqtt, "mqtt/d1", message_id)
        second = await join(mqtt, "mqtt/d1", message_id)
        assert first == second
        assert (first["code"], first["mqtt"]["username"]) == ("ok", "mqtt/d1")
        exists = await join(mqtt, "mqtt/d1", secrets.token_urlsafe(16))
        assert exists["code"] == "device_exists"
        assert "rotate" in exists["advice"]
        assert (await join(mqtt, "mqtt/d2", "guessable"))["code"] == "invalid_message_id"
    async with session(home, "mqtt/d1", first["secret"]) as mqtt:
        await mqtt.publish("upload_data/mqtt/d1/t/m1", b"{}", qos=1)
    await_records(home.kafka, names.DEVICE_TELEMETRY, 1, key=b"mqtt/d1")
    async with client(home) as api:
        device = (await api.get("/v1/products/mqtt/devices/d1")).json()
    assert device["origin"] == "first_contact"
    await nobody_takes_a_joining_device_for_one(home)


async def nobody_takes_a_joining_device_for_one(stack: Stack) -> None:
    """Ingest has heard of all of it by now: the log lines of the joining session came before the device's upload."""
    assert read_all(stack.kafka, names.dead_letters("ingest")) == []
    keys = {record.key for record in read_all(stack.kafka, names.PRESENCE_INBOX)}
    assert [key for key in keys if key is not None and b"$" in key] == []
    assert b"mqtt/d1" in keys


async def test_a_product_that_has_changed_its_mind_lets_no_device_join(home: Stack) -> None:
    secret = await product(home, "closing")
    async with client(home) as api:
        assert (await api.patch("/v1/products/closing", json={"dynamic_registration": False})).status_code == 200
    async with itself(home, "closing/d1", secret) as device:
        answer = await device.post("/v1/products/closing/devices/d1:join")
    assert (answer.status_code, answer.json()["code"]) == (403, "joining_off")


async def test_a_token_stands_for_the_secret_until_it_is_revoked(home: Stack) -> None:
    await product(home, "tokens")
    async with client(home) as api:
        secret = (await api.post("/v1/products/tokens/devices", json={"device_id": "d1"})).json()["secret"]
        path = "/v1/products/tokens/devices/d1"
        async with itself(home, "tokens/d1", secret) as device:
            refused = await device.post(f"{path}:issue-token", json={"for": "mqtt"})
            issued = await device.post(f"{path}:issue-token", json={"for": "http", "ttl_s": 60})
        assert (refused.status_code, refused.json()["code"]) == (409, "tokens_not_supported")
        assert issued.json()["expires_at"] > time.time() * 1000
        bearer = {"Authorization": f"Bearer {issued.json()['token']}"}
        url = "/v1/ingest/tokens/d1/t"
        assert (await api.post(url, content=b"{}", headers=bearer)).status_code == 202
        assert (await api.post(f"{path}:disable")).status_code == 200
        assert (await api.post(url, content=b"{}", headers=bearer)).json()["code"] == "device_disabled"
        assert (await api.post(f"{path}:enable")).status_code == 200
        assert (await api.post(url, content=b"{}", headers=bearer)).status_code == 202
        assert (await api.post(f"{path}:rotate-secret")).status_code == 200
        assert (await api.post(url, content=b"{}", headers=bearer)).json()["code"] == "device_unauthorized"
