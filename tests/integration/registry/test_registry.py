"""The registry on the real Kafka: who is answered knows it of every partition, and killing it loses nothing."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.owners.follow import Owners
from libs.runtime.owners.reads import OwnerReads
from libs.runtime.requests.client import NoAnswer, Refused, Requests
from libs.runtime.settings import KafkaSettings
from libs.topics import names
from libs.topics.identity import device_key, product_key
from services.registry.app import SERVICE, TABLE
from tests.integration.registry.exactness import unlike_the_replay
from tests.support.clients import asking
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import read_all
from tests.support.registry.asking import DYNAMIC, credential, delete, delete_product, put, register, rotate
from tests.support.registry.hub import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack
    from libs.topics.messages.hub import RequestAnswered

MANY = 2000


@pytest.fixture(scope="module")
def hub(brokers: Stack) -> Iterator[Stack]:
    """The shared brokers with the registry alone."""
    brokers.start_service("registry")
    brokers.wait_ready()
    yield brokers
    brokers.stop_service("registry")


@pytest.fixture
def kafka(hub: Stack) -> KafkaSettings:
    hub.wait_ready()
    return KafkaSettings(bootstrap=hub.kafka, partitions=hub.partitions)


async def asked(requests: Requests, message: Any, within: float = 60.0) -> RequestAnswered:
    return await requests.ask(names.REGISTRY_INBOX, key_of(message), message, within)


async def refused(requests: Requests, message: Any) -> str:
    with pytest.raises(Refused) as caught:
        await asked(requests, message)
    return caught.value.answer.code


def told(kafka: KafkaSettings, topic: str, key: bytes) -> list[Any]:
    """All that a topic has under a key; None for a deletion."""
    found = [record.value for record in read_all(kafka.bootstrap, topic) if record.key == key]
    return [None if value is None else msgspec.json.decode(value) for value in found]


async def test_a_device_lives_from_its_registration_to_its_deletion(kafka: KafkaSettings) -> None:
    product = unique("product")
    key = device_key(product, "d1")
    async with asking(kafka) as requests:
        assert await refused(requests, register("d1", product)) == "unknown_product"
        assert (await asked(requests, put(product, DYNAMIC, expected=0))).status == 201
        registered = await asked(requests, register("d1", product, tags=("b", "a")))
        await asked(requests, rotate("d1", product, grace=500))

        async def over() -> bool:
            return (await asyncio.to_thread(told, kafka, names.REGISTRY_DEVICES, key))[-1]["old_secret"] is None

        await eventually_async(over, describe="the old secret's grace to end by the registry's own ticks")
        owners = Owners(kafka)
        await owners.start()
        reads = OwnerReads(owners, partitions=kafka.partitions)
        shown = msgspec.json.decode(await reads.get(SERVICE, TABLE, "device", product, "d1") or b"")
        assert (shown["tags"], shown["credential_id"]) == (["a", "b"], "second")
        assert shown["version"] == msgspec.json.decode(registered.body)["version"] + 2
        secret = msgspec.json.decode(await reads.get(SERVICE, TABLE, "credentials", product, "d1") or b"")
        assert (secret["secret_hash"], secret["enabled"]) == (credential("second").hash, True)
        assert await refused(requests, delete_product(product)) == "product_has_devices"
        assert (await asked(requests, delete("d1", product))).status == 204
        assert await reads.get(SERVICE, TABLE, "device", product, "d1") is None
        assert (await asked(requests, delete_product(product))).status == 204
        assert await refused(requests, register("d1", product)) == "unknown_product"
        await reads.close()
        await owners.stop()
    events = await asyncio.to_thread(told, kafka, names.REGISTRY_EVENTS, key)
    kinds = ["device_registered", "secret_rotated", "old_secret_expired", "device_deleted"]
    assert [event["type"] for event in events] == kinds
    assert (await asyncio.to_thread(told, kafka, names.REGISTRY_DEVICES, key))[-1] is None
    assert (await asyncio.to_thread(told, kafka, names.REGISTRY_PRODUCTS, product_key(product)))[-1] is None


async def test_as_soon_as_a_product_is_answered_devices_register_in_every_partition(kafka: KafkaSettings) -> None:
    async with asking(kafka) as requests:
        for _ in range(5):
            product = unique("product")
            await asked(requests, put(product, expected=0))
            answers = await asyncio.gather(*[asked(requests, register(f"d{n}", product)) for n in range(40)])
            assert {answer.status for answer in answers} == {201}


async def test_killed_while_it_registers_many_the_same_requests_again_complete_them_and_none_is_there_twice(
    kafka: KafkaSettings, hub: Stack
) -> None:
    product = unique("product")
    statuses: dict[str, int] = {}
    async with asking(kafka) as requests:
        await asked(requests, put(product, expected=0))
        turns = asyncio.Semaphore(300)

        async def ask(device: str, within: float) -> None:
            async with turns:
                try:
                    answer = await asked(requests, register(device, product, secret=f"of-{device}"), within)
                except NoAnswer:
                    return
                statuses[device] = answer.status
                if len(statuses) == MANY // 4:
                    hub.kill("registry", signal.SIGKILL)

        restarts = hub.restarts("registry")
        await asyncio.gather(*[ask(f"d{number}", 3.0) for number in range(MANY)])
        assert len(statuses) >= MANY // 4, "that many were answered before it was killed"
        await asyncio.to_thread(eventually, lambda: hub.restarts("registry") > restarts, describe="another start")
        await asyncio.gather(*[ask(f"d{number}", 60.0) for number in range(MANY)])
    assert statuses == {f"d{number}": 201 for number in range(MANY)}
    prefix = f"{product}/".encode()

    def of_product(topic: str) -> list[tuple[bytes, Any]]:
        found = [record for record in read_all(kafka.bootstrap, topic) if (record.key or b"").startswith(prefix)]
        return [(record.key or b"", record.message) for record in found]

    events = await asyncio.to_thread(of_product, names.REGISTRY_EVENTS)
    assert {key for key, _ in events} == {device_key(product, f"d{number}") for number in range(MANY)}
    assert len({event["id"] for _, event in events}) == MANY, "each device was registered once"
    documents = dict(await asyncio.to_thread(of_product, names.REGISTRY_DEVICES))
    assert {key: shown["secret_hash"] for key, shown in documents.items()} == {
        device_key(product, f"d{number}"): credential(f"of-d{number}").hash for number in range(MANY)
    }
    assert await asyncio.to_thread(unlike_the_replay, kafka, product) == []
