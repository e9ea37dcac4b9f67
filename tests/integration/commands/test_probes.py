"""The hub asks a device, and a device the hub: paho, mosquitto, ingest, the ledger's lane, downlink, presence."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from libs.runtime.requests.client import Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics import names
from libs.topics.codec import encode
from tests.support import devices
from tests.support.commands.asking import probe, register
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paho.mqtt.client import Client, MQTTMessage

    from devstack.stack import Stack

WITHIN = 60.0


class Device:
    """Echoes probes while it is ``awake``, and keeps the hub's commands."""

    def __init__(self, name: str) -> None:
        self.name, self.awake, self.unanswered = name, True, 0
        self.commands: dict[str, Any] = {}
        """The newest payload of each, by its name."""
        self.client: Client

    def hear(self, message: MQTTMessage) -> None:
        levels = message.topic.split("/")
        if levels[0] == "cmd":
            self.commands[levels[3]] = json.loads(message.payload)
        elif not self.awake:
            self.unanswered += 1
        else:
            self.client.publish(f"/sys/{self.name}/rrpc/response/{levels[6]}", message.payload, qos=1)

    @contextmanager
    def connected(self, port: int) -> Iterator[None]:
        """In a session that outlasts the connection, and in which it has subscribed already."""
        with devices.connected(port, self.name, lasting=True) as client:
            granted = threading.Event()
            client.on_subscribe = lambda *_: granted.set()
            client.subscribe([(f"cmd/{self.name}/#", 1), (f"/sys/{self.name}/rrpc/request/+", 1)])
            assert granted.wait(WITHIN)
        with devices.connected(port, self.name, lasting=True, on_message=self.hear) as self.client:
            yield


@pytest.fixture
def kafka(stack: Stack) -> KafkaSettings:
    return KafkaSettings(bootstrap=stack.kafka, partitions=stack.partitions)


async def test_a_device_is_told_its_tags_and_the_time_and_says_whether_it_is_there(
    stack: Stack, kafka: KafkaSettings
) -> None:
    product = unique("product")
    key, device = f"{product}/d1".encode(), Device(f"{product}/d1")
    inbox = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    inbox.produce(names.COMMANDS_INBOX, encode(replace(register(tags=("line-3",)), product_id=product)), key)
    assert inbox.flush(30) == 0
    requests = Requests(kafka, RequestsSettings(group=unique("replies")))
    await requests.start()

    async def probed(probe_id: str, mode: str) -> Any:
        asked = replace(probe(probe_id, mode), product_id=product)
        return msgspec.json.decode((await requests.ask(names.COMMANDS_INBOX, key, asked, WITHIN)).body)

    async def last_probe(probe_id: str) -> Any:
        found = [record.message for record in read_all(kafka.bootstrap, names.PRESENCE_STATE, key=key)]
        last = found[-1]["last_probe"] if found else None
        return last if last is not None and last["probe_id"] == probe_id else None

    async def is_asked() -> bool:
        return device.unanswered > 0

    try:
        with device.connected(stack.mqtt_port):
            eventually(lambda: "$set_tags" in device.commands, WITHIN, describe="the tags")
            assert device.commands["$set_tags"] == {"tags": ["line-3"], "tags_version": 1}
            asked = time.time_ns() // 1_000_000
            device.client.publish(f"get/{device.name}/$ntp/m1", json.dumps({"device_time": 7}), qos=1)
            eventually(lambda: "$set_ntp" in device.commands, WITHIN, describe="the time")
            told = device.commands["$set_ntp"]
            assert told["device_time"] == 7
            assert asked <= told["iothub_recv"] <= told["iothub_send"] <= time.time_ns() // 1_000_000

            found = await probed("q1", "loose")
            assert (found["verdict"], found["altered"]) == ("reachable", False)
            known = await eventually_async(lambda: last_probe("q1"), WITHIN, describe="what presence knows")
            assert known == {
                "probe_id": "q1",
                "verdict": "reachable",
                "mode": "loose",
                "round_trip_ms": found["rtt_ms"],
                "at": known["at"],
            }
            device.awake = False
            waiting = asyncio.create_task(probed("q2", "strict"))
            await eventually_async(is_asked, WITHIN, describe="the question")
            stack.kill("commands", signal.SIGKILL)
            assert (await waiting)["verdict"] == "unreachable", "also when the service dies meanwhile"
            known = await eventually_async(lambda: last_probe("q2"), WITHIN, describe="what presence knows")
            assert (known["verdict"], known["round_trip_ms"]) == ("unreachable", None)
    finally:
        await requests.stop()
