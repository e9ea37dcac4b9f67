"""The downlink as a process of a test's own, what it is given to publish, and a receiver of all of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from prometheus_client.parser import text_string_to_metric_families

from devstack.environment import process_environment
from devstack.ports import HOST, free_port
from devstack.stack import CHECKOUT
from libs.topics.codec import encode
from libs.topics.messages.downlink import PublishMessage, SendToClient
from libs.topics.names import COMMANDS_INBOX
from services.downlink.app import GROUPS
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from devstack.stack import Stack

START = 60.0
"""Seconds; a busy machine starts a process in ten."""


def message(product: str, device: str, n: int, **changes: Any) -> bytes:
    """A record whose PUBLISH says ``{"n": n}`` on ``cmd/{product}/{device}/go/plain/r{n}``."""
    made = PublishMessage(
        id=f"commands.inbox-0-{n}-0",
        product_id=product,
        device_id=device,
        tag=None,
        topic=f"cmd/{product}/{device}/go/plain/r{n}",
        qos=1,
        encoding="json",
        payload=msgspec.Raw(b'{"n":%d}' % n),
        expires_at=None,
        content_type="application/json",
        request_id=f"r{n}",
        at=1_790_000_000_000,
    )
    return encode(msgspec.structs.replace(made, **changes))


def to_client(product: str, device: str, topic: str) -> bytes:
    """A record of ``app.p2p``."""
    return encode(
        SendToClient(
            client_id=f"{product}/{device}",
            topic=topic,
            message_id="n-1",
            encoding="json",
            payload=msgspec.Raw(b'{"n":0}'),
            product_id=product,
            device_id=device,
            requested_by="test",
            requested_at=1_790_000_000_000,
        )
    )


def told(kafka: str, product: str) -> list[tuple[str, str | None]]:
    """(request id, why it was refused, or that nobody heard it) of each notice about the product's devices, in order
    per device."""
    notices = [
        found.message for found in read_all(kafka, COMMANDS_INBOX) if (found.key or b"").startswith(product.encode())
    ]
    assert {notice["type"] for notice in notices} <= {"message_published"}
    return [(notice["request_id"], notice["refused"] if notice["heard"] else "unheard") for notice in notices]


def stream(product: str, devices: int, count: int, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of numbered messages to so many devices in turn."""
    for n in range(start, start + count):
        device = f"d{n % devices}"
        yield f"{product}/{device}".encode(), message(product, device, n)


class Downlink:
    """Publishes what is written from now on. As a context manager: started, and killed at the end.

    ``settings`` are FLEETLOG_ variables without the prefix; one with the ``group`` of another is its replica.
    """

    def __init__(self, brokers: Stack, mqtt_port: int, folder: Path, **settings: object) -> None:
        self._kafka = brokers.kafka
        self.group = str(settings.pop("group", "")) or self._begin_group()
        port = free_port()
        self._url, self._log = f"http://{HOST}:{port}", folder / f"{unique('downlink')}.log"
        told = {name: value for name, value in brokers.env("downlink").items() if "INSTANCE_ID" not in name}
        told |= {"FLEETLOG_GROUP": self.group, "FLEETLOG_MQTT_PORT": str(mqtt_port), "FLEETLOG_OPS_PORT": str(port)}
        told |= {f"FLEETLOG_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = process_environment(told)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _begin_group(self) -> str:
        """A group that has everything until now behind it."""
        group = unique("downlink")
        for topic, consumer in self._consumers(group):
            consumer.commit(offsets=ends(consumer, topic), asynchronous=False)
        return group

    def _consumers(self, group: str) -> Iterator[tuple[str, Consumer]]:
        """Of each topic, in the group that reads it."""
        for topic, suffix in GROUPS.items():
            consumer = Consumer({"bootstrap.servers": self._kafka, "group.id": group + suffix})
            try:
                yield topic, consumer
            finally:
                consumer.close()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "services.downlink"),
                cwd=CHECKOUT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(START)

    def restart(self) -> None:
        """Kill it without a word and start it again."""
        assert self.end(signal.SIGKILL) == -signal.SIGKILL
        self.start()

    def await_ready(self) -> None:
        eventually(self._ready, START, describe=f"a ready downlink\n{self.said()[-2000:]}")

    def await_waiting(self) -> None:
        """Return when it has read what it cannot send."""
        eventually(self._waiting, START, describe=f"messages that wait\n{self.said()[-2000:]}")

    def _waiting(self) -> bool:
        try:
            return self.metric("waiting") > 0
        except OSError:  # urllib.error.URLError is one
            return False

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/health/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels; 0 where it has none yet."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"fleetlog_downlink_{name}" and labels.items() <= sample.labels.items()
        )

    def await_committed(self) -> None:
        """Return when the groups' offsets are at the ends of all partitions."""
        for topic, consumer in self._consumers(self.group):
            check = partial(_committed, consumer, topic)
            eventually(check, START, describe=f"all of {topic} committed\n{self.said()[-2000:]}")

    def said(self) -> str:
        """Everything that it logged in all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def ends(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The present ends of a topic's partitions."""
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    places = [TopicPartition(topic, number) for number in partitions]
    return [TopicPartition(topic, at.partition, consumer.get_watermark_offsets(at, timeout=30)[1]) for at in places]


def _committed(consumer: Consumer, topic: str) -> bool:
    wanted = ends(consumer, topic)
    assert [at.offset for at in consumer.committed(wanted, timeout=30)] == [at.offset for at in wanted]
    return True


class Receiver:
    """A paho client with a session that outlasts its connections, which keeps what it gets in order."""

    def __init__(self, port: int, product: str) -> None:
        self.messages: list[MQTTMessage] = []
        self._subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=unique("receiver"), protocol=MQTTv5)
        self._client.on_message = lambda _client, _data, found: self.messages.append(found)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"cmd/{product}/#", 1), (f"+/p2p/{product}/+", 1)]
        )
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self._client.reconnect_delay_set(1, 2)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect(HOST, port, clean_start=False, properties=properties)

    def __enter__(self) -> Self:
        self._client.loop_start()
        eventually(lambda: self._subscribed, START, describe="a subscribed receiver")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def numbers(self) -> dict[str, list[int]]:
        """By device, the numbers of its messages as they came."""
        found: dict[str, list[int]] = {}
        for got in self.messages.copy():
            head, _, *names = got.topic.split("/")
            found.setdefault(names[0] if head == "cmd" else head, []).append(msgspec.json.decode(got.payload)["n"])
        return found

    def await_numbers(self, count: int, timeout: float = START) -> None:
        """Return when so many different numbers have come."""

        def enough() -> bool:
            different = sum(len(set(numbers)) for numbers in self.numbers().values())
            assert different >= count, f"{different} of {count} messages"
            return True

        eventually(enough, timeout, describe=f"{count} messages")
