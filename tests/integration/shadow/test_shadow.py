"""Shadows on the real Kafka: fed by registry and presence, asked by applications; killing the service loses nothing."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.requests.client import NoAnswer, Refused, Requests
from libs.runtime.settings import KafkaSettings
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.messages.registry import ProductDefaults
from services.shadow.app import SERVICE, TABLE, build
from services.shadow.settings import ShadowSettings
from tests.support.clients import asking, of_registry, producer, reading
from tests.support.exactness import unlike_the_replay
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import await_records, read_all
from tests.support.registry.asking import T0, delete, put, register
from tests.support.registry.hub import key_of
from tests.support.shadow.asking import idempotent, patch, patch_tagged, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack

DEVICES, EACH = 500, 10
TOPICS = (names.SHADOW_EVENTS, names.SHADOW_DOCUMENTS, names.DOWNLINK_MESSAGES, names.dead_letters(SERVICE))


@pytest.fixture(scope="module")
def hub(services: Stack) -> Iterator[Stack]:
    """The services that let everybody in, and the registry."""
    services.start_service("registry")
    services.wait_ready()
    yield services
    services.stop_service("registry")


@pytest.fixture
def kafka(hub: Stack) -> KafkaSettings:
    hub.wait_ready()
    return KafkaSettings(bootstrap=hub.kafka, partitions=hub.partitions)


async def of_shadow(requests: Requests, message: Any, within: float = 60.0) -> Any:
    key = device_key(message.product_id, message.device_id)
    answer = await requests.ask(names.SHADOW_INBOX, key, message, within)
    return msgspec.json.decode(answer.body)


async def test_a_shadow_lives_as_registry_presence_and_applications_say(kafka: KafkaSettings) -> None:
    name = unique("product")
    key = device_key(name, "d1")
    async with asking(kafka) as requests, reading(kafka) as reads:
        await of_registry(requests, put(name, ProductDefaults({"desired": {"interval": 10}}), expected=0))
        await of_registry(requests, register("d1", name, tags=("line-3",)))

        async def begun() -> Any:
            return await reads.get(SERVICE, TABLE, "document", name, "d1")

        shown = msgspec.json.decode(await eventually_async(begun, describe="the registration to arrive"))
        assert (shown["state"], shown["version"]) == ({"desired": {"interval": 10}}, 1)
        shown = await of_shadow(requests, patch({"color": "green"}, product=name, expected=1))
        assert (shown["version"], shown["delta"]) == (2, {"interval": 10, "color": "green"})
        with pytest.raises(Refused) as caught:
            await of_shadow(requests, patch({"color": "blue"}, product=name, expected=1))
        assert msgspec.json.decode(caught.value.answer.current) == shown

        with_presence = producer(kafka)
        connected = ConnectionObserved(name, "d1", "c1", "ch1", "connect", T0, unique("source"), 1, ingested_at=T0)
        with_presence.produce(names.PRESENCE_INBOX, encode(connected), key)
        assert with_presence.flush(30) == 0
        told = await asyncio.to_thread(await_records, kafka.bootstrap, names.DOWNLINK_MESSAGES, 4, key=key)
        documents = [
            record.message["payload"] for record in told if record.message["id"].startswith(names.SHADOW_INBOX)
        ]  # another service tells it its tags
        assert [document.get("version") for document in documents] == [2, 2, 2], "in both dialects, one on two topics"

        for number in range(kafka.partitions):
            message = msgspec.structs.replace(patch_tagged({"color": "red"}, patch_id=name), partition=number)
            message = msgspec.structs.replace(message, product_id=name)
            with_presence.produce(names.SHADOW_INBOX, encode(message), BROADCAST_KEY, partition=number)
        assert with_presence.flush(30) == 0
        applied = await asyncio.to_thread(
            await_records, kafka.bootstrap, names.SHADOW_EVENTS, kafka.partitions, key=name.encode()
        )
        assert {record.message["partition"] for record in applied} == set(range(kafka.partitions))
        assert sum(record.message["matched"] for record in applied) == 1
        assert sum(record.message["changed"] for record in applied) == 1

        await of_registry(requests, delete("d1", name))

        async def gone() -> bool:
            return await reads.get(SERVICE, TABLE, "document", name, "d1") is None

        await eventually_async(gone, describe="the deletion to arrive")
    events = [record.message for record in read_all(kafka.bootstrap, names.SHADOW_EVENTS) if record.key == key]
    causes = [event.get("cause", event.get("code")) for event in events]
    assert causes == ["created", "desired_changed", "version_conflict", "desired_changed", "deleted"]
    kept = [record.value for record in read_all(kafka.bootstrap, names.SHADOW_DOCUMENTS) if record.key == key]
    assert kept[-1] is None


async def test_killed_in_the_middle_of_5000_changes_of_500_devices_every_version_is_exact(
    kafka: KafkaSettings, hub: Stack
) -> None:
    """Applications repeat what was not answered, under its key; devices report once."""
    name = unique("product")
    devices = [f"d{number}" for number in range(DEVICES)]
    async with asking(kafka) as requests:
        await of_registry(requests, put(name, expected=0))
        made = [register(device, name) for device in devices]
        await requests.ask_all(names.REGISTRY_INBOX, [(key_of(one), one) for one in made])
        await change_and_kill(kafka, hub, requests, name, devices)
    prefix = f"{name}/".encode()
    versions: dict[bytes, dict[str, int]] = {}
    for record in read_all(kafka.bootstrap, names.SHADOW_EVENTS):
        if (record.key or b"").startswith(prefix):
            versions.setdefault(record.key or b"", {})[record.message["id"]] = record.message["version"]
    assert set(versions) == {device_key(name, device) for device in devices}
    assert {tuple(found.values()) for found in versions.values()} == {tuple(range(1, EACH + 1))}
    documents = {
        record.key: record.message
        for record in read_all(kafka.bootstrap, names.SHADOW_DOCUMENTS)
        if (record.key or b"").startswith(prefix)
    }
    half = EACH // 2
    state = {"desired": {f"n{n}": n for n in range(half)}, "reported": {f"n{n}": n for n in range(half)}}
    assert [document["state"] for document in documents.values()] == [state] * DEVICES
    app = build(ShadowSettings(kafka=kafka))
    assert await asyncio.to_thread(unlike_the_replay, kafka, app, TABLE, TOPICS, name) == []


async def change_and_kill(kafka: KafkaSettings, hub: Stack, requests: Requests, name: str, devices: list[str]) -> None:
    """Half of the changes are applications' requests, half are devices' reports."""
    wanted = [
        patch({f"n{n}": n}, device=device, product=name, idempotency=idempotent(f"{name}-{device}-{n}"))
        for n in range(EACH // 2)
        for device in devices
    ]
    answered: set[str] = set()
    refusals: set[str] = set()
    restarts, turns = hub.restarts("shadow"), asyncio.Semaphore(300)

    async def ask(message: Any, within: float) -> None:
        key = message.idempotency.key
        async with turns:
            if key in answered:
                return
            try:
                await of_shadow(requests, message, within)
            except NoAnswer:
                return
            except Refused as refused:
                refusals.add(refused.answer.code)
                return
            answered.add(key)
            if len(answered) == len(wanted) // 4:
                hub.kill("shadow", signal.SIGKILL)

    reports = producer(kafka)
    for n in range(EACH // 2):
        for device in devices:
            message = report({f"n{n}": n}, f"m{n}", device=device, product=name)
            reports.produce(names.SHADOW_INBOX, encode(message), device_key(name, device))
    await asyncio.gather(*[ask(message, 3.0) for message in wanted])
    assert await asyncio.to_thread(reports.flush, 60) == 0
    await asyncio.to_thread(eventually, lambda: hub.restarts("shadow") > restarts, describe="another start")

    async def all_answered() -> bool:
        await asyncio.gather(*[ask(message, 60.0) for message in wanted])
        return len(answered) == len(wanted)

    await eventually_async(all_answered, timeout=120, describe="every request to be answered")
    assert refusals <= {"unknown_device"}, "its registration is still on its way"
