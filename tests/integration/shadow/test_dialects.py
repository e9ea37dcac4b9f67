"""The dialects' test vectors on the real path: paho devices, mosquitto, ingest, the shadow lane, downlink, and back."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from libs.topics import names
from libs.topics.codec import encode
from tests.support import devices
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import read_all
from tests.support.shadow import vectors
from tests.support.shadow.vectors import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paho.mqtt.client import Client

    from devstack.stack import Stack
    from libs.topics.messages.base import Message
    from tests.support.devices import Inbox

PATIENCE = 60.0
"""Seconds until a message must have come: those of a loaded machine."""
T0: int = min(case["steps"][0]["at"] for case in CASES)
SUBSCRIBED = ("cmd/{}/+/+/+/#", "/shadow/{}/get", "/shadow/get/{}")
DEVICE = "d1"


class Device:
    """Plays the device's part of a case, and what comes from elsewhere."""

    def __init__(self, client: Client, heard: Inbox, product: str, inbox: Producer) -> None:
        self.product, self.name = product, f"{product}/{DEVICE}"
        self._client, self._heard, self._inbox = client, heard, inbox
        self.steps: list[tuple[int, int]] = []
        """First and last second of each step."""
        self.request_ids: list[str] = []

    def publish(self, topic: str, payload: bytes) -> None:
        message = self._client.publish(topic.replace(vectors.DEVICE, self.name), payload, qos=1)
        message.wait_for_publish(PATIENCE)
        assert message.is_published()

    def write(self, message: Message) -> None:
        self._inbox.produce(names.SHADOW_INBOX, encode(message), self.name)
        assert self._inbox.flush(PATIENCE) == 0

    def take(self, step: dict[str, Any]) -> list[str]:
        """Take one step, and tell where the hub said anything else than it should."""
        before = time.time_ns() // 1_000_000
        if sent := step.get("device"):
            self.publish(sent["topic"], vectors.payload_of(sent))
        else:
            self.write(vectors.from_elsewhere(step, self.product, DEVICE, before))
        said = [self._heard.next(PATIENCE) for _ in step["says"]]
        self.steps.append((before // 1000, int(time.time())))
        found = []
        for message, told in zip(said, step["says"], strict=True):
            if vectors.template(message.topic, self.name) != told["topic"]:
                found.append(f"on {message.topic}, not on {told['topic']}")
            found += vectors.unlike(told["payload"], json.loads(message.payload), self.is_of_its_step)
            self.request_ids += filter(None, [vectors.request_id(message.topic)])
        return found

    def is_of_its_step(self, expected: int, said: int) -> bool:
        """A time in a vector is that of a step: they are a second apart."""
        first, last = self.steps[expected - T0]
        return first <= said <= last

    def hears_no_more(self) -> bool:
        """What comes before the answer to a last message, which no case ends with, is all that comes."""
        self.publish(f"get/{self.name}/$shadow/last", b'{"shadow": ""}')
        return bool(b"invalid_shadow_name" in self._heard.next(PATIENCE).payload)


@pytest.fixture(scope="module")
def fleet(services: Stack) -> Iterator[dict[str, Device]]:
    """A device for each case, which presence knows to be online: from then on it is what the case says."""
    services.wait_ready()
    settings = {"bootstrap.servers": services.kafka, "partitioner": "murmur2_random", "enable.idempotence": True}
    inbox, made = Producer({**settings, "linger.ms": 0}), dict[str, Device]()
    with ExitStack() as connections:
        for case in CASES:
            product = unique("shadow")
            filters = [pattern.format(f"{product}/{DEVICE}") for pattern in SUBSCRIBED]
            talking = devices.talking(services.mqtt_port, filters, f"{product}/{DEVICE}")
            client, heard = connections.enter_context(talking)
            made[case["name"]] = Device(client, heard, product, inbox)
        keys = {device.name.encode() for device in made.values()}
        eventually(
            lambda: keys <= {record.key for record in read_all(services.kafka, names.PRESENCE_TRANSITIONS)},
            PATIENCE,
            describe="every device online",
        )
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(fleet: dict[str, Device], case: dict[str, Any]) -> None:
    device = fleet[case["name"]]
    device.write(vectors.registered(device.product, DEVICE, time.time_ns() // 1_000_000))
    wrong = {number: found for number, step in enumerate(case["steps"], 1) if (found := device.take(step))}
    assert wrong == {}
    assert device.hears_no_more()
    assert len(set(device.request_ids)) == len(device.request_ids)
