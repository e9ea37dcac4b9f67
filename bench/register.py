"""How many devices a second are registered through the API, until the last one has connected with its secret.

Bulk requests of 10,000 devices go one after the other: API → Kafka → registry → Kafka → API, and beside it registry →
Kafka → guard → mosquitto's files. The clock stops when the device that was named last is let in by the guarded
listener, and one of each bulk before has been too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec

from bench.support.process import Foreign, cpu_seconds
from devstack import api_key
from devstack.ports import HOST
from devstack.stack import Stack

PRODUCT = "bench"
BULK = 10_000
TIMEOUT = 120.0
RETRY = 0.02
"""Seconds between two attempts to connect."""
SERVICES = ("registry", "guard", "api")


def run(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=SERVICES) as stack:
        stack.wait_ready()
        pids = {name: pid for name in ("kafka", "mosquitto", *SERVICES) if (pid := stack.pid(name))}
        foreign, before = Foreign(*pids.values()), {name: cpu_seconds(pid) for name, pid in pids.items()}
        report = asyncio.run(_measure(stack, bulks=1 if quick else 5))
        used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        cpu = {f"cpu_us_per_device_{name}": round(1e6 * spent / report["devices"]) for name, spent in used.items()}
        return {**report, **cpu, "foreign_cores": round(foreign.cores(), 2)}


async def _measure(stack: Stack, bulks: int) -> dict[str, Any]:
    access = msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)
    headers = {"Authorization": f"Bearer {access.key}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=TIMEOUT) as client:
        await _prepare(client, stack)
        begun = time.perf_counter()
        answers = [await _register(client, number) for number in range(bulks)]
        answered = time.perf_counter() - begun
    for answer in answers:
        await _connects(stack, answer["results"][-1])
    working = time.perf_counter() - begun
    devices = BULK * bulks
    return {
        "devices_per_s": round(devices / working),
        "answered_per_s": round(devices / answered),
        "guard_lag_s": round(working - answered, 3),
        "refused": devices - sum(answer["created"] for answer in answers),
        "devices": devices,
    }


async def _prepare(client: httpx.AsyncClient, stack: Stack) -> None:
    """Make the product, and one device that works: everything has been used once."""
    await _retry(lambda: client.post("/v1/products", json={"product_id": PRODUCT}))
    first = await client.post(f"/v1/products/{PRODUCT}/devices", json={"device_id": "first"})
    await _connects(stack, first.raise_for_status().json())


async def _retry(send: Any) -> None:
    """Wait until the API knows the stack's key."""
    async with asyncio.timeout(TIMEOUT):
        while (await send()).status_code == httpx.codes.UNAUTHORIZED:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(RETRY)


async def _register(client: httpx.AsyncClient, number: int) -> dict[str, Any]:
    devices = [{"device_id": f"d{number}-{each}", "tags": ["hall-1"]} for each in range(BULK)]
    answer = await client.post(f"/v1/products/{PRODUCT}/devices:bulk", json={"devices": devices})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def _connects(stack: Stack, device: dict[str, Any]) -> None:
    """Return when the broker lets the device in. Raises TimeoutError."""
    name = device["mqtt"]["username"]
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                async with aiomqtt.Client(
                    HOST, stack.mqtt_port, username=name, password=device["secret"], identifier=name
                ):
                    return
            except aiomqtt.MqttError:
                await asyncio.sleep(RETRY)
