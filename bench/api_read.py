"""Presence reads over HTTP: API and owner as real processes, 64 connections kept alive, each with one read at a time.

Way of a read: client -> API (key, rate, scope, product) -> the worker that owns the row -> back. The load is made in
this process by a bare protocol: what it costs is part of the machine's two cores.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
import msgspec
import uvloop
from confluent_kafka import Producer

from bench.support.paced import percentile
from bench.support.process import cpu_seconds
from devstack import api_key
from devstack.stack import Stack
from libs.runtime import keys
from libs.runtime.kafka import KEYED, client_config
from libs.runtime.settings import KafkaSettings
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.messages.registry import IssueApiKey

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS: Final = 64
KEYS: Final = 16
"""API keys among the connections: one alone may ask 500 times a second."""
PRODUCT: Final = "bench"
PATIENCE: Final = 60.0
WARM_UP: Final = 2.0


class Reader(asyncio.Protocol):
    """One connection: asks, takes the answer's time, asks again."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests, self._next = requests, 0
        self._rest = b""
        self.latencies: list[float] = []
        self.errors = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._ask()

    def _ask(self) -> None:
        self._next = (self._next + 1) % len(self._requests)
        self._asked = time.perf_counter()
        self.transport.write(self._requests[self._next])

    def data_received(self, data: bytes) -> None:
        answer = self._rest + data
        head = answer.find(b"\r\n\r\n")
        if head < 0:
            self._rest = answer
            return
        length = answer.find(b"content-length: ")
        whole = head + 4 + int(answer[length + 16 : answer.find(b"\r\n", length)])
        if len(answer) < whole:
            self._rest = answer
            return
        self._rest = b""
        self.latencies.append(time.perf_counter() - self._asked)
        if not answer.startswith(b"HTTP/1.1 200") or b'"online"' not in answer:
            self.errors += 1
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)


def run(quick: bool) -> dict[str, Any]:
    devices, seconds = (500, 5.0) if quick else (5_000, 30.0)
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=("registry", "presence", "api")) as stack,
    ):
        found = _prepare(stack, devices)
        pids = [stack.pid("api"), stack.pid("presence")]
        before = [cpu_seconds(pid) for pid in pids if pid]
        latencies, errors, took = uvloop.run(_load(stack, found, devices, seconds))
        after = [cpu_seconds(pid) for pid in pids if pid]
    spent = [1_000_000 * (end - begin) / len(latencies) for begin, end in zip(before, after, strict=True)]
    return {
        "reads_per_s": round(len(latencies) / took),
        "p50_ms": round(1000 * percentile(latencies, 0.5), 1),
        "p99_ms": round(1000 * percentile(latencies, 0.99), 1),
        "errors": errors,
        "cpu_us_per_read_api": round(spent[0]),
        "cpu_us_per_read_owner": round(spent[1]),
        "connections": CONNECTIONS,
        "devices": devices,
    }


def _prepare(stack: Stack, devices: int) -> list[str]:
    """Let so many devices be online; returns API keys that are let in."""
    access = msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)
    producer = Producer(client_config(KafkaSettings(bootstrap=stack.kafka), **KEYED))
    minted = [keys.mint(secrets.token_bytes) for _ in range(KEYS)]
    now = time.time_ns() // 1_000_000
    with httpx.Client(base_url=access.url, headers={"Authorization": f"Bearer {access.key}"}, timeout=30) as client:
        _until(lambda: client.get("/v1/products").status_code == httpx.codes.OK, "the API lets the key in")
        client.post("/v1/products", json={"product_id": PRODUCT}).raise_for_status()
        for one in minted:
            asked = IssueApiKey(
                one.key_id, "bench", ("read",), (PRODUCT,), one.hash, None, requested_by="bench", requested_at=now
            )
            producer.produce(names.REGISTRY_INBOX, encode(asked), f"key:{one.key_id}".encode())
        for number in range(devices):
            key = f"{PRODUCT}/d{number}"
            seen = ConnectionObserved(PRODUCT, f"d{number}", key, f"ch{number}", "connect", now, "bench", number)
            producer.produce(names.PRESENCE_INBOX, encode(seen), key.encode())
        producer.flush(PATIENCE)
        path = f"/v1/products/{PRODUCT}/presence"
        _until(lambda: client.get(path).json().get("online") == devices, "all devices online")
        for one in minted:
            _until(partial(_admitted, client, path, one.text), "the API lets all keys in")
    return [one.text for one in minted]


def _admitted(client: httpx.Client, path: str, key: str) -> bool:
    return client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == httpx.codes.OK


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


async def _load(stack: Stack, found: list[str], devices: int, seconds: float) -> tuple[list[float], int, float]:
    """Return the latencies, in order of their size, the errors, and the seconds that it took."""
    loop = asyncio.get_running_loop()
    host, _, port = stack.api_url.removeprefix("http://").partition(":")
    readers = []
    for number in range(CONNECTIONS):
        head = f"host: {host}\r\nauthorization: Bearer {found[number % KEYS]}\r\n\r\n"
        requests = [
            f"GET /v1/products/{PRODUCT}/devices/d{device}/presence HTTP/1.1\r\n{head}".encode()
            for device in range(number, devices, 7)
        ]
        _, reader = await loop.create_connection(partial(Reader, requests), host, int(port))
        readers.append(reader)
    await asyncio.sleep(WARM_UP)
    for reader in readers:
        reader.latencies.clear()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - begun
    latencies = sorted(latency for reader in readers for latency in reader.latencies)
    for reader in readers:
        reader.transport.abort()
    await asyncio.gather(*(reader.closed for reader in readers))
    return latencies, sum(reader.errors for reader in readers), took
