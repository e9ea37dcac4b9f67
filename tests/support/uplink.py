"""Uplink in bulk: numbered messages of many devices, and what must be in Kafka and ClickHouse for them."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING, TypeAlias

from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.telemetry import DataUploaded
from tests.support import clickhouse
from tests.support.polling import eventually
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack

DEVICES = 50
ONLY_SHARD = re.compile(r'\{shard="0"\}|,shard="0"|(?<=\{)shard="0",')

Place: TypeAlias = tuple[int, int]
"""(partition, offset) of a record of ``device.telemetry``."""

Row: TypeAlias = tuple[str, str, str]
"""Device, message id and payload."""

decode: Decoder[DataUploaded] = Decoder(DataUploaded)


def messages(product: str, count: int, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Each device counts its own messages; every payload but the number is the same."""
    for number in range(start, start + count):
        device, at = number % DEVICES, number // DEVICES
        yield f"upload_data/{product}/d{device}/t/m{at}", b'{"n":%d}' % at


def stored(stack: Stack, product: str) -> dict[str, list[int]]:
    """The numbers in Kafka per device, in order of their offsets."""
    found: dict[str, list[int]] = {}
    for device, _, payload in in_kafka(stack, product).values():
        found.setdefault(device, []).append(int(payload.removeprefix('{"n":').removesuffix("}")))
    return found


def await_stored(stack: Stack, product: str, count: int, timeout: float = 60.0) -> dict[str, list[int]]:
    """`stored`, once there are so many messages."""

    def enough() -> dict[str, list[int]]:
        found = stored(stack, product)
        total = sum(map(len, found.values()))
        assert total >= count, f"{total} of {count}"
        return found

    return eventually(enough, timeout, describe=f"{count} messages of {product} in Kafka")


def assert_exact(found: dict[str, list[int]], count: int) -> None:
    """Every message of `messages` once, in the order of its device."""
    assert sum(map(len, found.values())) == count
    for device, numbers in found.items():
        at = next((at for at, number in enumerate(numbers) if at != number), None)
        assert at is None, f"{device}: lost, doubled or reordered at {at}: {numbers[max(0, at - 3) : at + 4]}"


def in_kafka(stack: Stack, product: str) -> dict[Place, Row]:
    prefix = f"{product}/".encode()
    found: dict[Place, Row] = {}
    for record in read_all(stack.kafka, names.DEVICE_TELEMETRY):
        if record.key is not None and record.key.startswith(prefix):
            assert record.value is not None
            event = decode(record.value)
            found[record.partition, record.offset] = (event.device_id, event.message_id, bytes(event.payload).decode())
    return found


def in_clickhouse(stack: Stack, product: str) -> list[tuple[Place, Row]]:
    """In order of place; a row that is there twice comes twice."""
    client = clickhouse.client(stack.clickhouse_url, "fleetlog")
    try:
        found = client.query(
            "SELECT partition, offset, device_id, message_id, payload FROM raw_events "
            "WHERE product_id = {product:String} AND topic = {topic:String} ORDER BY partition, offset",
            {"product": product, "topic": names.DEVICE_TELEMETRY},
        ).result_rows
    finally:
        client.close()
    return [((partition, offset), (device, message, payload)) for partition, offset, device, message, payload in found]


def assert_clickhouse_equals_kafka(stack: Stack, product: str, timeout: float = 60.0) -> None:
    """Every record of the product is one row with the same content, and there is no other row."""
    wanted = sorted(in_kafka(stack, product).items())
    eventually(
        lambda: len(in_clickhouse(stack, product)) >= len(wanted), timeout, describe=f"{len(wanted)} rows of {product}"
    )
    assert in_clickhouse(stack, product) == wanted


def metrics(stack: Stack, service: str = "ingest") -> dict[str, float]:
    """Samples of a service by name, labels included, such as ``ingest_settled_total{account="produced"}``.

    The label of ingest's only shard is left out.
    """
    with urllib.request.urlopen(stack.ops_url(service) + "/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(f"fleetlog_{service}"))
    return {ONLY_SHARD.sub("", name.removeprefix("fleetlog_")): float(value) for name, value in pairs}


def is_balanced(stack: Stack) -> bool:
    """Whether ingest has nothing in flight. Its books have to balance at every moment."""
    found = metrics(stack)
    settled = sum(value for name, value in found.items() if name.startswith("ingest_settled_total"))
    assert found["ingest_received_total"] == settled + found["ingest_in_flight"], found
    return found["ingest_in_flight"] == 0
