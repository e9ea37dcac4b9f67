"""Messages from a real Kafka through a real mosquitto, while everything in between is killed."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES, dead_letters
from tests.integration.downlink.process import Downlink, Receiver, message, stream, to_client, told
from tests.integration.runtime.mqtt.brokers import LARGEST, Mosquitto
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import produce, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.stack import Stack

DEVICES = 25


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def product() -> str:
    return unique("p")


def reasons(kafka: str, product: str) -> list[str]:
    """Of the dead letters about the product's first device."""
    key = f"{product}/d0".encode()
    return [found.message["reason"] for found in read_all(kafka, dead_letters("downlink"), key=key)]


def assert_in_order(numbers: list[int], expected: list[int]) -> None:
    """All came; each is followed by the next one, or by one that came before and then goes on from there."""
    places = [expected.index(number) for number in numbers]
    assert sorted(set(places)) == list(range(len(expected))), "lost"
    furthest = -1
    for before, after in zip([-1, *places], places, strict=False):
        furthest = max(furthest, before)
        assert after == before + 1 or after <= furthest, f"{expected[after]} came directly after {before}"


def test_messages_arrive_as_they_were_meant_and_nothing_else_does(
    brokers: Stack, mosquitto: Mosquitto, product: str, tmp_path: Path
) -> None:
    key, now = f"{product}/d0".encode(), int(time.time() * 1000)
    records = [
        message(product, "d0", 0),
        b"{",
        message(product, "d0", 1, expires_at=now - 1),
        message(product, "d0", 2, expires_at=now + 600_000),
        message(product, "d0", 3, topic=f"cmd/{product}/+/go"),
        message(product, "d0", 4, encoding="base64", payload=msgspec.Raw(b'"eyJuIjo0fQ=="')),
        message(product, "d0", 5, encoding="base64", payload=msgspec.Raw(b'"%"')),
        message(product, "d0", 6, payload=msgspec.Raw(b'"' + b"x" * LARGEST + b'"')),
        b'{"type":"of_a_later_version"}',
        message(product, "d0", 7, content_type=None, request_id=None, qos=0),
        message(product, "d0", 8, stamp="sent"),
        message(product, "d0", 9, topic=f"cmd-of-nobody/{product}/d0/go/plain/r9"),
    ]
    with Receiver(mosquitto.port, product) as receiver, Downlink(brokers, mosquitto.port, tmp_path) as downlink:
        produce(brokers.kafka, DOWNLINK_MESSAGES, [(key, record) for record in records])
        receiver.await_numbers(5)
        downlink.await_committed()
        assert receiver.numbers() == {"d0": [0, 2, 4, 7, 8]}
        first, lasting, _, bare, stamped = receiver.messages
        assert (first.topic, first.qos) == (f"cmd/{product}/d0/go/plain/r0", 1)
        assert (first.properties.ContentType, first.properties.CorrelationData) == ("application/json", b"r0")
        assert 500 < lasting.properties.MessageExpiryInterval <= 600
        assert not hasattr(first.properties, "MessageExpiryInterval")
        assert not hasattr(bare.properties, "ContentType")
        assert not hasattr(bare.properties, "CorrelationData")
        assert now <= msgspec.json.decode(stamped.payload)["sent"] <= time.time() * 1000
        unfit = ["invalid_message", "invalid_topic", "invalid_payload", "packet_too_large"]
        assert reasons(brokers.kafka, product) == unfit
        taken, refused = [("r0", None), ("r2", None)], [("r3", "invalid_topic")]
        told_of = [*taken, *refused, ("r4", None), ("r5", "invalid_payload"), ("r6", "packet_too_large")]
        told_of += [("r8", None), ("r9", "unheard")]
        assert told(brokers.kafka, product) == told_of
        counted = {
            "published": 4,
            "no_subscribers": 1,
            "expired": 1,
            "unconfirmed": 1,
            "unpublishable": 4,
            "unknown": 1,
        }
        assert {outcome: downlink.metric("messages_total", outcome=outcome) for outcome in counted} == counted
        client = [to_client(product, "d0", "notice"), to_client(product, "d0", "cmd/p/d")]
        produce(brokers.kafka, APP_P2P, [(key, record) for record in client])
        receiver.await_numbers(6)
        downlink.await_committed()
        assert receiver.messages[-1].topic == f"notice/p2p/{product}/d0"
        assert reasons(brokers.kafka, product) == [*unfit, "invalid_topic"]
        assert told(brokers.kafka, product) == told_of, "nobody asked what becomes of these"
        assert downlink.end() == 0


def test_killed_again_and_again_it_loses_nothing_and_nothing_overtakes(
    brokers: Stack, mosquitto: Mosquitto, product: str, tmp_path: Path
) -> None:
    count, poison = 10_000, 40
    records = list(stream(product, DEVICES, count))
    for at in range(poison):
        records.insert((at + 1) * count // (poison + 2), (f"{product}/d0".encode(), b"poison %d" % at))
    downlink = Downlink(brokers, mosquitto.port, tmp_path, instance_id="one", window=200)
    with Receiver(mosquitto.port, product) as receiver, downlink:
        produce(brokers.kafka, DOWNLINK_MESSAGES, records)
        for share in (0.1, 0.3, 0.5):
            receiver.await_numbers(int(count * share))
            downlink.restart()
        receiver.await_numbers(int(count * 0.7))
        mosquitto.end(signal.SIGTERM)
        produce(brokers.kafka, DOWNLINK_MESSAGES, stream(product, DEVICES, 1, count))
        downlink.restart()
        downlink.await_waiting()
        assert (f"r{count}", None) not in told(brokers.kafka, product), "no broker has it"
        mosquitto.start()
        count += 1
        receiver.await_numbers(count)
        downlink.await_committed()
        assert set(told(brokers.kafka, product)) == {(f"r{n}", None) for n in range(count)}
        for device, numbers in receiver.numbers().items():
            assert_in_order(numbers, list(range(int(device[1:]), count, DEVICES)))
        assert reasons(brokers.kafka, product) == ["invalid_message"] * poison
        assert downlink.end() == 0


def test_replicas_hand_devices_over_without_repeating_a_message(
    brokers: Stack, mosquitto: Mosquitto, product: str, tmp_path: Path
) -> None:
    first = Downlink(brokers, mosquitto.port, tmp_path)
    second = Downlink(brokers, mosquitto.port, tmp_path, group=first.group)
    with Receiver(mosquitto.port, product) as receiver, first, second:
        first.await_ready()
        second.await_ready()
        count = 0

        def written(more: int) -> None:
            nonlocal count
            produce(brokers.kafka, DOWNLINK_MESSAGES, stream(product, DEVICES, more, count))
            count += more

        def both() -> bool:
            written(100)
            return all(replica.metric("messages_total", outcome="published") > 0 for replica in (first, second))

        eventually(both, describe="both replicas publishing")
        written(2_000)
        assert first.end() == 0
        written(2_000)
        receiver.await_numbers(count)
        second.await_committed()
        assert receiver.numbers() == {f"d{at}": list(range(at, count, DEVICES)) for at in range(DEVICES)}
        assert second.end() == 0


def test_what_kafka_has_removed_is_counted_and_gaps_of_transactions_are_not(
    brokers: Stack, mosquitto: Mosquitto, product: str, tmp_path: Path
) -> None:
    """Three messages of each topic, of which Kafka keeps the last one; then one more."""
    key = f"{product}/d0".encode()
    with Receiver(mosquitto.port, product) as receiver, Downlink(brokers, mosquitto.port, tmp_path) as downlink:
        downlink.await_ready()
        assert downlink.end() == 0
        produce(brokers.kafka, DOWNLINK_MESSAGES, [(key, message(product, "d0", n)) for n in range(3)])
        removed(brokers.kafka, DOWNLINK_MESSAGES, product)
        of_applications = [to_client(product, "d0", f"notice-{n}") for n in range(4)]
        in_transactions(brokers.kafka, key, of_applications[:3])
        removed(brokers.kafka, APP_P2P, product)
        downlink.start()
        eventually(lambda: len(receiver.messages) == 2, describe="what Kafka still has")
        in_transactions(brokers.kafka, key, of_applications[3:])
        eventually(lambda: len(receiver.messages) == 3, describe="what came behind a gap")
        lost = downlink.metric("messages_total", outcome="lost")
        assert lost == 2 + 4, "two messages of the hub, and two of applications with the ends of their transactions"
        assert downlink.end() == 0
    heard = sorted(got.topic for got in receiver.messages)
    topics = [f"notice-{n}/p2p/{product}/d0" for n in (2, 3)]
    assert heard == [f"cmd/{product}/d0/go/plain/r2", *topics]


def in_transactions(kafka: str, key: bytes, values: list[bytes]) -> None:
    """Write to one client, each in a transaction: behind it its end takes an offset, too."""
    writing = Producer({"bootstrap.servers": kafka, "transactional.id": unique("application")})
    writing.init_transactions(30)
    for value in values:
        writing.begin_transaction()
        writing.produce(APP_P2P, value, key)
        writing.commit_transaction(30)


def removed(kafka: str, topic: str, product: str) -> None:
    """Let Kafka remove what is before the product's newest record, as its retention does."""
    newest = [found for found in read_all(kafka, topic) if (found.key or b"").startswith(product.encode())][-1]
    before = TopicPartition(topic, newest.partition, newest.offset)
    admin = AdminClient({"bootstrap.servers": kafka})
    for done in admin.delete_records([before]).values():
        done.result(30)
