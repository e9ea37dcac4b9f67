"""What a hostile device can send: every byte of it is kept, nothing stops, and its neighbours notice nothing."""

from __future__ import annotations

import base64
import socket
from typing import TYPE_CHECKING, Any

import mqtt5

from devstack.ports import HOST
from libs.topics import names
from tests.e2e.faults.scene import assert_presence_equals_its_replay
from tests.support import clickhouse
from tests.support.devices import publish
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import await_records, read_all
from tests.support.uplink import decode, in_kafka

if TYPE_CHECKING:
    from devstack.stack import Stack
    from libs.topics.messages.telemetry import DataUploaded

POISON = {
    "bad-utf-8": b'{"name":"\xff\xfe"}',
    "cut-utf-8": b'"\xe2\x82"',
    "nan": b'{"v":NaN}',
    "infinity": b"-Infinity",
    "1e400": b'{"v":1e400}',
    "nesting": b"[" * 2000 + b"]" * 2000,
    "unclosed": b"[" * 2000,
    "duplicate-keys": b'{"a":1,"a":2}',
    "trailing-text": b'{"a":1} and more',
    "25-digits": b'{"n":1234567890123456789012345}',
    "400-digits": b'{"n":' + b"9" * 400 + b"}",
    "half-a-pair": b'{"s":"\\ud800"}',
    "nul": b'{"s":"\\u0000"}',
    "empty": b"",
    "white": b" \n\t ",
    "byte-order-mark": b"\xef\xbb\xbf{}",
}
OVERSIZE = b"x" * 300_000
NEIGHBOURS = 20

TOPICS = ("upload_data/#", "upload_data/+/d1/t/m", "upload_data/p\0/d1/t/m", "")
"""That no publisher may name (MQTT 5, 3.3.2.1): the broker ends the connection."""


def test_poison_is_kept_byte_for_byte_and_stops_nobody(stack: Stack) -> None:
    product = unique("poison")
    device, neighbour = f"{product}/mallory", f"{product}/alice"
    pids = {service: stack.pid(service) for service in stack.services or ("ingest", "presence", "timeseries")}
    publish(stack.mqtt_port, device, [(f"upload_data/{device}/t/{name}", bytes_) for name, bytes_ in POISON.items()])
    publish(stack.mqtt_port, device, [(f"upload_data/{device}/t/oversize", OVERSIZE)])
    publish(
        stack.mqtt_port, neighbour, [(f"upload_data/{neighbour}/t/m{n}", b'{"n":%d}' % n) for n in range(NEIGHBOURS)]
    )

    records = await_records(stack.kafka, names.DEVICE_TELEMETRY, len(POISON), key=device.encode())
    assert {event.message_id: sent(event) for event in (decode(record.value) for record in records)} == POISON
    everything = len(POISON) + NEIGHBOURS
    eventually(lambda: len(in_kafka(stack, product)) == everything, describe=f"{everything} records")
    eventually(lambda: letters_of(stack, product), describe="a dead letter")
    letters = letters_of(stack, product)
    assert [(letter["reason"], base64.b64decode(letter["payload"])) for letter in letters] == [
        ("payload_too_large", OVERSIZE)
    ]
    eventually(lambda: rows(stack, product) == everything, 60, describe="a row for each of them")
    assert values(stack, product) == {("duplicate-keys", "a"): 2.0, ("25-digits", "n"): 1.2345678901234568e24}
    assert {service: stack.pid(service) for service in pids} == pids
    assert_presence_equals_its_replay(stack, product)


def test_a_topic_that_nobody_may_publish_to_ends_the_connection_and_reaches_nothing(stack: Stack) -> None:
    product = unique("topics")
    for topic in TOPICS:
        with socket.create_connection((HOST, stack.mqtt_internal_port), timeout=20) as wire:
            wire.sendall(mqtt5.ConnectPacket("", clean_start=True).write())
            assert isinstance(mqtt5.read(memoryview(wire.recv(1024)))[0], mqtt5.ConnAckPacket)
            name = topic.replace("p\0", f"{product}\0").encode()
            wire.sendall(packet(name, product.encode()))
            while wire.recv(1024):
                pass  # a DISCONNECT with the reason, then the end
    publish(stack.mqtt_port, f"{product}/d", [(f"upload_data/{product}/d/t/m", b"1")])
    await_records(stack.kafka, names.DEVICE_TELEMETRY, 1, key=f"{product}/d".encode())
    everywhere = [*read_all(stack.kafka, names.DEVICE_TELEMETRY), *read_all(stack.kafka, names.dead_letters("ingest"))]
    inside = base64.b64encode(product.encode())  # a payload that is no JSON, in records and in letters
    assert sum(product.encode() in (record.value or b"") for record in everywhere) == 1
    assert not any(inside in (record.value or b"") for record in everywhere)


def packet(topic: bytes, payload: bytes) -> bytes:
    """A QoS 1 PUBLISH that no codec would write."""
    inside = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + b"\x00" + payload
    assert len(inside) < 128
    return bytes([0x32, len(inside)]) + inside


def sent(event: DataUploaded) -> bytes:
    """The device's own bytes in a record."""
    payload = bytes(event.payload)
    return payload if event.encoding == "json" else base64.b64decode(payload)


def letters_of(stack: Stack, product: str) -> list[dict[str, Any]]:
    found = [record.message for record in read_all(stack.kafka, names.dead_letters("ingest"))]
    return [letter for letter in found if product in letter["origin"]]


def rows(stack: Stack, product: str) -> int:
    return len(query(stack, "SELECT 1 FROM raw_events WHERE product_id = {product:String}", product))


def values(stack: Stack, product: str) -> dict[tuple[str, str], float]:
    """Numbers that ClickHouse has of the hostile device, by message id and key."""
    found = query(
        stack,
        "SELECT message_id, key, value FROM metrics JOIN raw_events USING (topic, partition, offset) "
        "WHERE metrics.product_id = {product:String} AND metrics.device_id = 'mallory'",
        product,
    )
    return {(message, key): value for message, key, value in found}


def query(stack: Stack, sql: str, product: str) -> list[tuple[str, str, float]]:
    client = clickhouse.client(stack.clickhouse_url, "fleetlog")
    try:
        return [tuple(row) for row in client.query(sql, {"product": product}).result_rows]
    finally:
        client.close()
