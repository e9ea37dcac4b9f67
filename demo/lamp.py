"""What a lamp should be, and when it was so: a device of the SDK in a process of its own, and an application."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from devstack.stack import CHECKOUT
from fleet.admission import knock
from fleet.registration import Registry

from . import example
from .access import Check

if TYPE_CHECKING:
    from fleet.link import Endpoint
    from fleet.registration import ApiAccess

WAIT = "20s"
"""How long the API waits for the lamp at most."""
COLOURS = ("red", "green", "blue")
"""Desired one after the other while the lamp is off."""


class Verified(msgspec.Struct, frozen=True):
    """What ``fleetlog shadow verify`` says."""

    documents: int
    alike_in_topic: int
    alike_in_table: int
    events: int
    differences: list[Any]
    unreadable: list[str]


class Room:
    """Where the lamp is, and the application that switches it."""

    def __init__(self, access: ApiAccess, endpoint: Endpoint, state: Path) -> None:
        """``state``: of the stack, for the command line."""
        self._access, self._endpoint, self._state = access, endpoint, state

    async def tried(self, prefix: str) -> list[Check]:
        """Register a lamp, switch it while it is on and while it is off, and verify all shadows.

        ``prefix``: of the product id. Raises `NotRegistered`.
        """
        lamp = (f"{prefix}-room" if prefix else "room", "lamp")
        async with Registry(self._access) as registry:
            secret = (await registry.enlist([lamp]))[lamp]
        await knock(self._endpoint, lamp, secret)
        headers = {"Authorization": f"Bearer {self._access.key}"}
        url = f"{self._access.url.rstrip('/')}/v1/products/{lamp[0]}/devices/{lamp[1]}"
        with tempfile.TemporaryDirectory(prefix="fleetlog-lamp-") as directory:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60.0) as api:
                command = example.command("lamp", self._endpoint, lamp, secret, Path(directory))
                try:
                    checks = [await _while_on(api, command), await _while_off(api, command)]
                except (httpx.HTTPError, TimeoutError) as error:
                    checks = [Check(False, f"the shadow of the lamp was not told: {type(error).__name__} {error}")]
        return [*checks, await self._verified()]

    async def _verified(self) -> Check:
        command = (sys.executable, "-m", "cli", "--state", str(self._state), "shadow", "verify", "--json")
        verifying = await asyncio.create_subprocess_exec(
            *command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, errors = await verifying.communicate()
        return verdict(verifying.returncode, told, errors)


def verdict(status: int | None, told: bytes, errors: bytes) -> Check:
    """Say what came of ``fleetlog shadow verify --json``."""
    if not told:
        return Check(False, f"`fleetlog shadow verify` ended with {status}: {errors.decode(errors='replace').strip()}")
    found = msgspec.json.decode(told, type=Verified)
    sentence = (
        f"the log of {found.events:,} changes, folded again, makes the documents ({found.documents:,}): "
        f"{found.alike_in_topic:,} in Kafka and {found.alike_in_table:,} at their owner are the same"
    )
    if status:
        faults = len(found.differences) + len(found.unreadable)
        sentence += f"; faults: {faults}, exit status {status} {errors.decode(errors='replace').strip()}".rstrip()
    return Check(status == 0, sentence)


async def _while_on(api: httpx.AsyncClient, command: tuple[str, ...]) -> Check:
    async with example.switched_on(command):
        await example.until(lambda: example.session(api, "online"))
        begun = time.monotonic()
        answer = await api.patch("/shadow", params={"wait": WAIT}, json={"on": True, "colour": "white"})
        took = time.monotonic() - begun
    if answer.status_code != httpx.codes.OK:
        return Check(False, f"a lamp that is on was not so within {WAIT}: {answer.status_code} {answer.text[:200]}")
    return Check(True, f"what is desired of a lamp that is on is reported {took * 1000:,.0f} ms after the call")


async def _while_off(api: httpx.AsyncClient, command: tuple[str, ...]) -> Check:
    await example.until(lambda: example.session(api, "offline"))
    for colour in COLOURS:
        (await api.patch("/shadow", json={"colour": colour})).raise_for_status()
    begun = time.monotonic()
    async with example.switched_on(command) as printed:
        await example.until(lambda: _agrees(api))
        took = time.monotonic() - begun
    told = sum(line.startswith("version ") for line in printed)
    if told != 1:
        return Check(False, f"{len(COLOURS)} changes while a lamp was off were told {told} times")
    return Check(
        True, f"{len(COLOURS)} changes while it was off are told as one, reported {took:.1f} s after its start"
    )


async def _agrees(api: httpx.AsyncClient) -> bool:
    answer = (await api.get("/shadow")).raise_for_status()
    return bool(answer.json()["delta"] == {})
