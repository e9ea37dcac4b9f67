"""From an application's patch to the device: API -> Kafka -> shadow -> Kafka -> downlink -> mosquitto -> device.

Devices are online and speak the IoTHub dialect. Patches follow a schedule, one device after the other, and each counts
from the moment at which it was due, whoever held it up. Devices and applications are made in this process, which needs
CPU of the same machine (``load``). Before it counts, the schedule runs for a while: Kafka's compiler takes several
times what the patches do until it has seen enough of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiomqtt
import httpx
import msgspec
import uvloop

from bench.support.http import Connections
from bench.support.paced import percentile
from bench.support.process import Foreign, cpu_seconds
from devstack import api_key
from devstack.ports import HOST
from devstack.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT: Final = "bench"
SERVICES: Final = ("registry", "ingest", "presence", "shadow", "downlink", "api")
DEVICES: Final = 50
RATE: Final = 200
"""Patches per second."""
PARTITIONS: Final = 4
"""Of each topic, as in the other parts of the benchmark."""
WARM_UP: Final = 15.0
"""Seconds, in which the rate rises to the full one."""
PATIENCE: Final = 60.0
RETRY: Final = 0.05


class Sections(msgspec.Struct):
    desired: dict[str, Any] = {}


class Update(msgspec.Struct):
    """``$update_shadow``, as far as it is looked at."""

    state: Sections


_update = msgspec.json.Decoder(Update)


def measure(state: Path, seconds: float) -> dict[str, Any]:
    with Stack(state, services=SERVICES, partitions=PARTITIONS) as stack:
        stack.wait_ready()
        pids = {name: pid for name in ("kafka", "mosquitto", *SERVICES) if (pid := stack.pid(name))}
        foreign = Foreign(*pids.values())
        pids["load"] = os.getpid()
        report = uvloop.run(_measure(stack, pids, seconds))
        return {**report, "foreign_cpus_patch": round(foreign.cores(), 2)}


async def _measure(stack: Stack, pids: dict[str, int], seconds: float) -> dict[str, Any]:
    access = msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)
    headers = {"Authorization": f"Bearer {access.key}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=PATIENCE) as client:
        await register(client)
    async with asyncio.TaskGroup() as group:
        live = Live(access)
        devices = [group.create_task(live.device(stack.mqtt_port, number)) for number in range(DEVICES)]
        await live.until(lambda: len(live.ready) == DEVICES)
        for part in (0.25, 0.5, 1.0):
            await live.patches(int(WARM_UP * RATE * part / 3), RATE * part)
        live.delays.clear()
        count = int(seconds * RATE)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        await live.patches(count, RATE)
        used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        for device in devices:
            device.cancel()
        live.close()
    delays = sorted(1000 * delay for delay in live.delays)
    return {
        "patch_p50_ms": round(percentile(delays, 0.5), 1),
        "patch_p99_ms": round(percentile(delays, 0.99), 1),
        "patch_max_ms": round(delays[-1], 1),
        "patches": count,
        **{f"cpu_us_per_patch_{name}": round(1e6 * spent / count) for name, spent in used.items()},
        "patch_repeated": live.repeated,
        "mismatched": live.wrong + count - len(delays),
    }


async def register(client: httpx.AsyncClient) -> None:
    """Raises RuntimeError, TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while await _create(client) == httpx.codes.UNAUTHORIZED:  # noqa: ASYNC110 - until the API knows the key
            await asyncio.sleep(RETRY)
    devices = [{"device_id": f"d{number}"} for number in range(DEVICES)]
    answer = await client.post(f"/v1/products/{PRODUCT}/devices:bulk", json={"devices": devices})
    if answer.raise_for_status().json()["created"] != DEVICES:
        raise RuntimeError(f"devices were refused: {answer.text}")


async def _create(client: httpx.AsyncClient) -> int:
    answer = await client.post("/v1/products", json={"product_id": PRODUCT})
    return answer.status_code


class Live:
    """Applications and devices."""

    def __init__(self, access: api_key.Access) -> None:
        url = urlsplit(access.url)
        self._connections = Connections(url.hostname or HOST, url.port or 80)
        self._head = (
            "PATCH /v1/products/{product}/devices/{device}/shadow HTTP/1.1\r\n"
            f"Host: {url.netloc}\r\nAuthorization: Bearer {access.key}\r\n"
            "Content-Type: application/merge-patch+json\r\nContent-Length: {length}\r\n\r\n"
        )
        self._due: dict[int, float] = {}
        self._next = 0
        self.ready: set[int] = set()
        self.delays: list[float] = []
        self.repeated = 0
        self.wrong = 0
        """Patches that were refused, and updates of another device or that nobody asked for."""

    async def device(self, port: int, number: int) -> None:
        """Be online, and take what is desired."""
        name = f"d{number}"
        async with aiomqtt.Client(HOST, port, identifier=f"{PRODUCT}/{name}", username=f"{PRODUCT}/{name}") as client:
            await client.subscribe(f"cmd/{PRODUCT}/{name}/#", qos=1)
            await client.publish(f"get/{PRODUCT}/{name}/$shadow/1", b"{}", qos=1)
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self._received(number, _update.decode(message.payload).state.desired)

    def _received(self, device: int, desired: dict[str, Any]) -> None:
        number = desired.get("number")
        if number is None:  # the answer to its question: it speaks, and is online
            self.ready.add(device)
        elif number % DEVICES != device or number >= self._next:
            self.wrong += 1
        elif (due := self._due.pop(number, None)) is None:
            self.repeated += 1
        else:
            self.delays.append(time.perf_counter() - due)

    async def patches(self, count: int, rate: float) -> None:
        """Patch by the schedule, ``rate`` a second, and wait until the devices have all of it."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                due = begun + n / rate
                if (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                self._due[self._next] = due
                group.create_task(self._patch(self._next))
                self._next += 1
        await self.until(lambda: not self._due)

    async def _patch(self, number: int) -> None:
        body = msgspec.json.encode({"number": number})
        head = self._head.format(product=PRODUCT, device=f"d{number % DEVICES}", length=len(body))
        answer = await self._connections.ask(head.encode() + body)
        if answer.status != httpx.codes.OK:
            self.wrong += 1
            self._due.pop(number, None)

    def close(self) -> None:
        self._connections.close()

    async def until(self, done: Any) -> None:
        """Wait for the devices. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not done():  # noqa: ASYNC110 - what it waits for comes from other processes
                await asyncio.sleep(RETRY)
