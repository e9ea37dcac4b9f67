"""Commands on the real Kafka: fed by registry and presence, asked by applications; a kill loses nothing."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from libs.runtime.requests.client import NoAnswer, Refused, Requests
from libs.runtime.settings import KafkaSettings
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.identity import device_key
from libs.topics.messages.presence import ConnectionObserved
from services.commands.app import SERVICE, TABLE, build
from services.commands.settings import CommandsSettings
from tests.support.clients import asking, of_registry, producer, reading
from tests.support.commands.asking import call, cancel, idempotent, reply, send, send_to_tag
from tests.support.devices import subscribed
from tests.support.exactness import unlike_the_replay
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import read_all
from tests.support.registry.asking import T0, delete, put, register
from tests.support.registry.hub import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from devstack.stack import Stack
    from libs.runtime.owners.reads import OwnerReads

DEVICES, EACH = 100, 5
WITHIN = 60.0
TOPICS = (names.COMMANDS_EVENTS, names.DOWNLINK_MESSAGES, names.dead_letters(SERVICE))


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


async def of_commands(requests: Requests, message: Any, within: float = WITHIN) -> Any:
    key = device_key(message.product_id, message.device_id)
    answer = await requests.ask(names.COMMANDS_INBOX, key, message, within)
    return msgspec.json.decode(answer.body)


def connect(kafka: KafkaSettings, product: str, *devices: str) -> None:
    connected, source = producer(kafka), unique("source")
    for device in devices:
        seen = ConnectionObserved(product, device, device, "ch1", "connect", T0, source, 1, ingested_at=T0)
        connected.produce(names.PRESENCE_INBOX, encode(seen), device_key(product, device))
    assert connected.flush(30) == 0


def answer(kafka: KafkaSettings, product: str, *asked: tuple[str, str]) -> None:
    """Reply as devices: pairs of device and request id."""
    replying = producer(kafka)
    for device, request_id in asked:
        message = replace(reply(request_id, device=device), product_id=product)
        replying.produce(names.COMMANDS_INBOX, encode(message), device_key(product, device))
    assert replying.flush(30) == 0


def listeners(hub: Stack, product: str) -> AbstractContextManager[object]:
    """Somebody at the broker who subscribes to what is sent to the product's devices: so it counts as sent."""
    return subscribed(hub.mqtt_port, [f"cmd/{product}/#", f"rpc/{product}/#"], f"{product}/ears")


@contextmanager
def replying(kafka: KafkaSettings, product: str) -> Iterator[None]:
    """Reply as every device of the product to whatever is sent to it."""
    over = threading.Event()
    group = {"group.id": unique("devices"), "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, **group})
    places = [TopicPartition(names.DOWNLINK_MESSAGES, number) for number in range(kafka.partitions)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=30)[1]
    consumer.assign(places)

    def run() -> None:
        while not over.is_set():
            found = [msgspec.json.decode(record.value() or b"{}") for record in consumer.consume(100, 0.1)]
            mine = [one for one in found if one["product_id"] == product]
            answer(kafka, product, *[(one["device_id"], one["request_id"]) for one in mine])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        consumer.close()


def events_of(kafka: KafkaSettings, product: str) -> list[dict[str, Any]]:
    """Each once, though a crash may repeat some."""
    found = {
        record.message["id"]: record.message
        for record in read_all(kafka.bootstrap, names.COMMANDS_EVENTS)
        if record.message["product_id"] == product
    }
    return list(found.values())


def ends_of(kafka: KafkaSettings, product: str) -> list[tuple[str, str]]:
    """Request id and end of each command."""
    return sorted(
        (event["request_id"], event.get("outcome", "replied"))
        for event in events_of(kafka, product)
        if event["type"] in {"command_ended", "command_replied"}
    )


async def test_a_command_waits_for_its_device_and_ends_once(kafka: KafkaSettings, hub: Stack) -> None:
    name = unique("product")
    with listeners(hub, name):
        await a_life(kafka, name)
    ends = {"r3": "rejected", "r2": "cancelled", "r1": "replied", f"f-{name}": "replied", "r4": "replied"}
    assert await asyncio.to_thread(ends_of, kafka, name) == sorted(ends.items())


async def a_life(kafka: KafkaSettings, name: str) -> None:
    """Of a device, from its registration to its end."""
    async with asking(kafka) as requests, reading(kafka) as reads:
        await of_registry(requests, put(name, expected=0))
        await of_registry(requests, register("d1", name, tags=("line-3",)))

        async def pending() -> Any:
            return await reads.get(SERVICE, TABLE, "pending", name, "d1")

        await eventually_async(pending, describe="the registration to arrive")
        assert (await of_commands(requests, replace(send("r1"), product_id=name)))["state"] == "queued"
        assert (await of_commands(requests, replace(send("r2"), product_id=name)))["state"] == "queued"
        with pytest.raises(Refused) as caught:
            await of_commands(requests, replace(call("r3"), product_id=name))
        assert (caught.value.answer.status, caught.value.answer.code) == (409, "device_offline")
        assert (await of_commands(requests, replace(cancel("r2"), product_id=name)))["state"] == "cancelled"
        tagged = [
            replace(send_to_tag(f"f-{name}"), product_id=name, partition=number) for number in range(kafka.partitions)
        ]
        told = await requests.ask_partitions(names.COMMANDS_INBOX, tagged, WITHIN)
        started = [msgspec.json.decode(one.body) for one in told if hasattr(one, "body")]
        assert sum(one["members"] for one in started) == sum(one["queued"] for one in started) == 1

        connect(kafka, name, "d1")

        async def sent() -> Any:
            shown = msgspec.json.decode(await reads.get(SERVICE, TABLE, "commands", name, "d1") or b"{}")
            return [one["state"] for one in shown["open"]] == ["sent", "sent"]

        await eventually_async(sent, describe="the notices that both were sent")
        answer(kafka, name, ("d1", "r1"), ("d1", f"f-{name}"), ("d1", "r2"))
        found = await reads.list(SERVICE, TABLE, "commands", f"request:f-{name}")
        assert [key for key, _ in found] == [f"{name}/d1"]

        async def over() -> Any:
            return not msgspec.json.decode(await pending())["open"]

        await eventually_async(over, describe="the replies to arrive")
        await called(kafka, requests, reads, name)
        await of_registry(requests, delete("d1", name))

        async def gone() -> bool:
            return await pending() is None

        await eventually_async(gone, describe="the deletion to arrive")


async def called(kafka: KafkaSettings, requests: Requests, reads: OwnerReads, name: str) -> None:
    waiting = asyncio.create_task(of_commands(requests, replace(call("r4", ttl=30_000), product_id=name)))

    async def asked() -> Any:
        return msgspec.json.decode(await reads.get(SERVICE, TABLE, "pending", name, "d1") or b"{}")["open"]

    await eventually_async(asked, describe="the rpc to arrive")
    answer(kafka, name, ("d1", "r4"))
    view = await waiting
    assert (view["state"], view["reply"]["payload"]) == ("replied", "done")


async def test_killed_in_the_middle_of_500_rpcs_each_is_answered_and_ends_once(
    kafka: KafkaSettings, hub: Stack
) -> None:
    """Applications repeat what was not answered, under its key; devices reply once to whatever they are sent."""
    name = unique("product")
    devices = [f"d{number}" for number in range(DEVICES)]
    async with asking(kafka) as requests, reading(kafka) as reads:
        await of_registry(requests, put(name, expected=0))
        made = [register(device, name) for device in devices]
        await requests.ask_all(names.REGISTRY_INBOX, [(key_of(one), one) for one in made])
        connect(kafka, name, *devices)
        with listeners(hub, name), replying(kafka, name):
            await all_online(requests, reads, name, devices)
            await rpcs_and_kill(kafka, hub, requests, name, devices)
    events = await asyncio.to_thread(events_of, kafka, name)
    accepted = Counter(of_one(event) for event in events if event["type"] == "command_accepted")
    ends = Counter(of_one(event) for event in events if event["type"] in {"command_ended", "command_replied"})
    assert set(accepted.values()) == {1}
    assert ends == accepted, "exactly one end each"
    app = build(CommandsSettings(kafka=kafka))
    assert await asyncio.to_thread(unlike_the_replay, kafka, app, TABLE, TOPICS, name) == []


def of_one(event: dict[str, Any]) -> tuple[str, str]:
    return event["device_id"], event["request_id"]


async def all_online(requests: Requests, reads: OwnerReads, name: str, devices: list[str]) -> None:
    """Each has replied to a command, which it got because the service knew that it is online."""

    async def queued(device: str) -> bool:
        try:
            return bool(await of_commands(requests, replace(send("first", device_id=device), product_id=name)))
        except Refused as refused:
            if refused.answer.code != "unknown_device":  # its registration is still on its way
                raise
            return False

    async def replied(device: str) -> bool:
        shown = msgspec.json.decode(await reads.get(SERVICE, TABLE, "commands", name, device) or b"{}")
        return [one["state"] for one in shown["ended"]] == ["replied"]

    for what in (queued, replied):
        await asyncio.gather(
            *[eventually_async(partial(what, device), describe=f"{what.__name__} {device}") for device in devices]
        )


async def rpcs_and_kill(kafka: KafkaSettings, hub: Stack, requests: Requests, name: str, devices: list[str]) -> None:
    wanted = [
        replace(
            call(f"{device}-{n}", ttl=30_000, device_id=device, idempotency=idempotent(f"{name}-{device}-{n}")),
            product_id=name,
        )
        for n in range(EACH)
        for device in devices
    ]
    ends: dict[str, str] = {}
    restarts, turns = hub.restarts("commands"), asyncio.Semaphore(200)

    async def ask(message: Any, within: float) -> None:
        async with turns:
            if message.request_id in ends:
                return
            try:
                ends[message.request_id] = (await of_commands(requests, message, within))["state"]
            except NoAnswer:
                return
            except Refused as refused:
                ends[message.request_id] = refused.answer.code
            if len(ends) == len(wanted) // 4:
                hub.kill("commands", signal.SIGKILL)

    await asyncio.gather(*[ask(message, 3.0) for message in wanted])
    await asyncio.to_thread(eventually, lambda: hub.restarts("commands") > restarts, describe="another start")

    async def all_over() -> bool:
        await asyncio.gather(*[ask(message, 60.0) for message in wanted])
        return len(ends) == len(wanted)

    await eventually_async(all_over, timeout=120, describe="every rpc to be over")
    assert set(ends.values()) <= {"replied", "rpc_timed_out"}
