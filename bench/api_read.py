"""Presence reads over HTTP: API and owner as real processes, 64 connections kept alive, each with one read at a time.

Way of a read: client -> API (key, rate, scope, product) -> the worker that owns the row -> back. The load is made in
this process by a bare protocol: what it costs is part of the machine's two cores.

First all connections ask as fast as they are answered: that is the rate, and each read waits for 63 others. Then they
keep to a schedule of `PACE`, and latencies count from the moment at which a read was due, whoever held it up.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

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
    from collections.abc import Callable, Sequence

CONNECTIONS: Final = 64
KEYS: Final = 16
"""API keys among the connections: one alone may ask 500 times a second."""
PRODUCT: Final = "bench"
PATIENCE: Final = 60.0
WARM_UP: Final = 2.0
PACE: Final = 1_500
"""Reads per second of all connections together."""


class Load(NamedTuple):
    latencies: list[float]
    """Seconds, in order of their size."""
    errors: int
    took: float
    cpu: list[float]
    """Seconds of each process that was watched."""


class Reader(asyncio.Protocol):
    """One connection: asks, takes the answer's time, asks again; at once, or when ``interval`` seconds are over."""

    def __init__(self, requests: list[bytes], interval: float, begin: float) -> None:
        """``begin``: `time.perf_counter` at which the first one is due."""
        self._requests, self._next = requests, 0
        self._interval, self._due = interval, begin
        self._rest = b""
        self.latencies: list[float] = []
        self.errors = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._wait()

    def _wait(self) -> None:
        now = time.perf_counter()
        if self._interval:
            self._due += self._interval
        else:
            self._due = now
        if self._due > now:
            asyncio.get_running_loop().call_later(self._due - now, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        if self.transport.is_closing():
            return
        self._next = (self._next + 1) % len(self._requests)
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
        self.latencies.append(time.perf_counter() - self._due)
        if not answer.startswith(b"HTTP/1.1 200") or b'"online"' not in answer:
            self.errors += 1
        self._wait()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)


def run(quick: bool) -> dict[str, Any]:
    devices, seconds = (500, 5.0) if quick else (5_000, 30.0)
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=("registry", "presence", "api")) as stack,
    ):
        found = _prepare(stack, devices)
        pids = [pid for pid in (stack.pid("api"), stack.pid("presence")) if pid]
        fast = uvloop.run(_load(stack.api_url, _requests(found, devices), seconds, pids))
        paced = uvloop.run(_load(stack.api_url, _requests(found, devices), seconds, pids, CONNECTIONS / PACE))
    api, owner = (round(1_000_000 * spent / len(fast.latencies)) for spent in fast.cpu)
    return {
        "reads_per_s": round(len(fast.latencies) / fast.took),
        "p50_ms": _ms(fast, 0.5),
        "p99_ms": _ms(fast, 0.99),
        "paced_reads_per_s": round(len(paced.latencies) / paced.took),
        "paced_p50_ms": _ms(paced, 0.5),
        "paced_p99_ms": _ms(paced, 0.99),
        "errors": fast.errors + paced.errors,
        "cpu_us_per_read_api": api,
        "cpu_us_per_read_owner": owner,
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


def _requests(found: list[str], devices: int) -> list[list[bytes]]:
    """Make what each connection asks, one after the other."""
    paths = [f"GET /v1/products/{PRODUCT}/devices/d{device}/presence HTTP/1.1\r\n" for device in range(devices)]
    heads = [f"host: bench\r\nauthorization: Bearer {key}\r\n\r\n" for key in found]
    return [[(path + heads[n % KEYS]).encode() for path in paths[n::7]] for n in range(CONNECTIONS)]


async def _load(
    url: str, requests: list[list[bytes]], seconds: float, pids: Sequence[int], interval: float = 0.0
) -> Load:
    """Read so long, each connection once in ``interval`` seconds; 0: as soon as it is answered."""
    loop = asyncio.get_running_loop()
    host, _, port = url.removeprefix("http://").partition(":")
    begin = time.perf_counter()
    readers = []
    for number, asked in enumerate(requests):
        make = partial(Reader, asked, interval, begin + interval * number / CONNECTIONS)
        _, reader = await loop.create_connection(make, host, int(port))
        readers.append(reader)
    await asyncio.sleep(WARM_UP)
    for reader in readers:
        reader.latencies.clear()
    begun, before = time.perf_counter(), [cpu_seconds(pid) for pid in pids]
    await asyncio.sleep(seconds)
    took, after = time.perf_counter() - begun, [cpu_seconds(pid) for pid in pids]
    latencies = sorted(latency for reader in readers for latency in reader.latencies)
    for reader in readers:
        reader.transport.abort()
    await asyncio.gather(*(reader.closed for reader in readers))
    cpu = [end - start for start, end in zip(before, after, strict=True)]
    return Load(latencies, sum(reader.errors for reader in readers), took, cpu)


def _ms(load: Load, part: float) -> float:
    return round(1000 * percentile(load.latencies, part), 1)
