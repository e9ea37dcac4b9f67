"""Who gets in, and who may say what: tried on two devices of their own, as anybody could do it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from fleet.admission import gets_in, knock
from fleet.registration import Registry
from fleet.wire import Refused, WireLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleet.evidence import Evidence
    from fleet.link import Endpoint
    from fleet.readers.kafka import KafkaReader
    from fleet.registration import ApiAccess
    from fleet.truth import Device

PATIENCE = 20.0
"""Seconds that anything may take on a busy machine; what it took is told."""
BODY = b'{"celsius": 21.5}'


class Check(msgspec.Struct, frozen=True):
    """One thing that was tried."""

    held: bool
    told: str
    """What was seen, as a sentence that is true if it held, and says what happened if it did not."""


class Gate:
    """Tries who gets in. ``run`` begins the ids of messages; nobody else may use the reader meanwhile."""

    def __init__(self, access: ApiAccess, endpoint: Endpoint, kafka: KafkaReader, run: str) -> None:
        self._access, self._endpoint, self._kafka, self._run = access, endpoint, kafka, run

    async def tried(self, prefix: str) -> list[Check]:
        """Register two devices and try everything. ``prefix``: of the product id. Raises `NotRegistered`."""
        product_id = f"{prefix}-gate" if prefix else "gate"
        owner, stranger = (product_id, "owner"), (product_id, "stranger")
        async with Registry(self._access) as registry:
            secrets = await registry.enlist((owner, stranger))
            for device, secret in secrets.items():
                await knock(self._endpoint, device, secret)
            return [
                await self._foreign_name(owner, stranger, secrets[stranger]),
                *await self._disabled(registry, owner, secrets[owner]),
                await self._rotated(registry, owner, secrets[owner]),
            ]

    async def _foreign_name(self, owner: Device, stranger: Device, secret: str) -> Check:
        """Publish under another device's name, then under the own: when that has arrived, the other would have, too."""
        foreign, own = f"{self._run}-foreign", f"{self._run}-own"
        async with _connected(self._endpoint, stranger, secret) as link:
            answer = await _refusal(link, f"upload_data/{'/'.join(owner)}/climate/{foreign}")
        # on a connection of its own: mosquitto 2.0.11 closes one at the next packet after a refused message
        async with _connected(self._endpoint, stranger, secret) as link:
            await link.publish(f"upload_data/{'/'.join(stranger)}/climate/{own}", BODY)
            arrived = await asyncio.to_thread(_await_arrival, self._kafka, own)
        if not arrived:
            return Check(False, "a message under the device's own name did not arrive: nothing is known about others")
        if _has(self._kafka.evidence, foreign):
            return Check(False, "a message under another device's name is in Kafka")
        if answer is None:
            return Check(False, "a message under another device's name is not in Kafka, but was acknowledged")
        return Check(True, f"a message under another device's name is {answer}, and is not in Kafka")

    async def _disabled(self, registry: Registry, device: Device, secret: str) -> list[Check]:
        async with _connected(self._endpoint, device, secret) as link:
            begun = time.monotonic()
            await registry.disable(device)
            cut = await _ends(link)
            first = _timed(cut, begun, "a disabled device is cut off {} after the call", "a disabled device stays")
        back = await gets_in(self._endpoint, device, secret)
        second = Check(not back, "it gets in again" if back else "it is refused when it comes back")
        begun = time.monotonic()
        await registry.enable(device)
        await knock(self._endpoint, device, secret)
        return [first, second, _timed(True, begun, "enabled again, it gets in {} after the call", "")]

    async def _rotated(self, registry: Registry, device: Device, old: str) -> Check:
        new = await registry.rotate(device)
        await knock(self._endpoint, device, new)
        if await gets_in(self._endpoint, device, old):
            return Check(False, "a rotated secret lets the device in, and so does the old one")
        return Check(True, "a rotated secret lets the device in, and the old one does not")


@asynccontextmanager
async def _connected(endpoint: Endpoint, device: Device, secret: str) -> AsyncIterator[WireLink]:
    link = WireLink(endpoint, device, secret)
    await link.open()
    try:
        yield link
    finally:
        await link.goodbye()


async def _refusal(link: WireLink, topic: str) -> str | None:
    """Publish; how it was refused, None where it was not."""
    try:
        await link.publish(topic, BODY)
    except Refused as refused:
        return str(refused).lower().replace("_", " ")
    return None


async def _ends(link: WireLink) -> bool:
    """Wait until the connection is over; False where it is not."""
    try:
        async with asyncio.timeout(PATIENCE):
            await link.over()
    except TimeoutError:
        return False
    return True


def _await_arrival(kafka: KafkaReader, message_id: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not _has(kafka.evidence, message_id):
        if time.monotonic() > deadline:
            return False
        kafka.advance(0.1)
    kafka.catch_up(deadline)
    return True


def _has(evidence: Evidence, message_id: str) -> bool:
    return any(arrival.message_id == message_id for arrival in reversed(evidence.arrivals))


def _timed(held: bool, begun: float, told: str, otherwise: str) -> Check:
    return Check(held, told.format(f"{(time.monotonic() - begun) * 1000:,.0f} ms") if held else otherwise)
