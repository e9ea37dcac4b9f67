"""How long it takes from disabling a device until its socket is closed, on mosquitto, with many registered devices.

A request to the registry -> its answer, event and document in Kafka -> the guard -> the password file -> SIGHUP ->
mosquitto, which closes the connection. Devices are disabled one at a time. `own_ms` are the guard's part and
mosquitto's, from the answer on.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mqtt5
import msgspec

from bench.support.documents import hashed
from bench.support.paced import percentile
from devstack.ports import HOST
from devstack.stack import Stack
from libs.runtime.requests.client import Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.identity import device_key
from libs.topics.messages.hub import RequestAnswered
from libs.topics.messages.registry import Credential, DisableDevice, ProductDefaults, PutProduct, RegisterDevice
from libs.topics.names import REGISTRY_INBOX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.topics.messages.base import Request

PRODUCT: Final = "bench"
SECRET: Final = "of every device here"  # noqa: S105 - devices of a benchmark
PATIENCE: Final = 60.0
BY: Final = "bench"


class Connection(msgspec.Struct):
    """A device at the broker; the future is done, with the loop's time, when the broker has closed its socket."""

    device_id: str
    writer: asyncio.StreamWriter
    closed: asyncio.Task[float]


def run(quick: bool) -> dict[str, Any]:
    registered, connected, cut = (2_000, 100, 20) if quick else (20_000, 300, 200)
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=("registry", "guard")) as stack,
    ):
        return asyncio.run(_run(stack, registered, connected, cut))


async def _run(stack: Stack, registered: int, connected: int, cut: int) -> dict[str, Any]:
    requests = Requests(KafkaSettings(bootstrap=stack.kafka), RequestsSettings(group="bench-replies"))
    await requests.start()
    try:
        took = await _register(requests, registered)
        await _await_lines(stack.guard_directory / "passwords", registered)
        connections = await asyncio.gather(
            *(_connect(stack.mqtt_port, f"d{number}") for number in range(0, registered, registered // connected))
        )
        delays = [await _cut(requests, connection) for connection in connections[:cut]]
        others = [connection for connection in connections[cut:] if connection.closed.done()]
        for connection in connections:
            connection.writer.close()
            connection.closed.cancel()
    finally:
        await requests.stop()
    whole, own = (sorted(1000 * values for values in column) for column in zip(*delays, strict=True))
    return {
        "p50_ms": round(percentile(whole, 0.5)),
        "p99_ms": round(percentile(whole, 0.99)),
        "max_ms": round(whole[-1]),
        "own_p50_ms": round(percentile(own, 0.5)),
        "own_p99_ms": round(percentile(own, 0.99)),
        "errors": len(others),
        "registered": registered,
        "connected": connected,
        "cut": cut,
        "registered_per_s": round(registered / took),
    }


async def _register(requests: Requests, count: int) -> float:
    """Returns the seconds it took."""
    product = PutProduct(PRODUCT, ProductDefaults(), None, None, requested_by=BY, requested_at=_now())
    await requests.ask(REGISTRY_INBOX, PRODUCT.encode(), product, PATIENCE)
    begun = time.monotonic()
    outcomes = await requests.ask_all(REGISTRY_INBOX, _registrations(count), timeout=PATIENCE)
    refused = [outcome for outcome in outcomes if not isinstance(outcome, RequestAnswered)]
    if refused:
        raise RuntimeError(f"{len(refused)} of {count} registrations were not carried out: {refused[0]!r}")
    return time.monotonic() - begun


def _registrations(count: int) -> Iterator[tuple[bytes, Request]]:
    credential = Credential("c1", hashed(SECRET))
    for number in range(count):
        device_id = f"d{number}"
        yield (
            device_key(PRODUCT, device_id),
            RegisterDevice(
                product_id=PRODUCT,
                device_id=device_id,
                origin="bulk",
                credential=credential,
                tags=(),
                attributes={},
                requested_by=BY,
                requested_at=_now(),
            ),
        )


async def _await_lines(file: Path, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(_lines, file) < count:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(0.1)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


async def _connect(port: int, device_id: str) -> Connection:
    """Raises ConnectionError where the broker does not let it in."""
    connect = mqtt5.ConnectPacket(
        "", username=f"{PRODUCT}/{device_id}", password=SECRET.encode(), clean_start=True, keep_alive=0
    )
    async with asyncio.timeout(PATIENCE):
        while True:  # the broker may be about to read the file
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(connect.write())
            answer = await reader.read(1024)
            if answer and not int(_connack(answer).reason_code):
                break
            writer.close()
            await asyncio.sleep(0.1)
    return Connection(device_id, writer, asyncio.create_task(_closed(reader)))


def _connack(answer: bytes) -> mqtt5.ConnAckPacket:
    packet, _ = mqtt5.read(memoryview(answer))
    if not isinstance(packet, mqtt5.ConnAckPacket):
        raise ConnectionError(f"CONNECT was answered by {packet!r}")
    return packet


async def _closed(reader: asyncio.StreamReader) -> float:
    while await reader.read(1024):
        pass
    return asyncio.get_running_loop().time()


async def _cut(requests: Requests, connection: Connection) -> tuple[float, float]:
    """Seconds until the socket was closed: from the request, and from its answer."""
    clock = asyncio.get_running_loop().time
    request = DisableDevice(
        product_id=PRODUCT,
        device_id=connection.device_id,
        expected_version=None,
        requested_by=BY,
        requested_at=_now(),
    )
    asked = clock()
    await requests.ask(REGISTRY_INBOX, device_key(PRODUCT, connection.device_id), request, PATIENCE)
    answered = clock()
    async with asyncio.timeout(PATIENCE):
        closed = await connection.closed
    return closed - asked, max(0.0, closed - answered)


def _now() -> int:
    return time.time_ns() // 1_000_000
