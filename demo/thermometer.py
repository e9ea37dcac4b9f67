"""What a thermometer is told to do, and what became of it: a device of the SDK, two never on, an application."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from fleet.admission import knock
from fleet.registration import Registry

from . import example
from .access import Check

if TYPE_CHECKING:
    from fleet.link import Endpoint
    from fleet.registration import ApiAccess

TAG = "indoors"


class Bench:
    """Where the thermometers are, and the application that commands them."""

    def __init__(self, access: ApiAccess, endpoint: Endpoint) -> None:
        self._access, self._endpoint = access, endpoint

    async def tried(self, prefix: str) -> list[Check]:
        """Command one that is off and comes back, call it, probe it, and command all three by their tag.

        ``prefix``: of the product id. Raises `NotRegistered`.
        """
        product = f"{prefix}-bench" if prefix else "bench"
        devices = [(product, f"thermometer-{number}") for number in (1, 2, 3)]
        async with Registry(self._access) as registry:
            secrets = await registry.enlist(devices)
        await knock(self._endpoint, devices[0], secrets[devices[0]])
        headers = {"Authorization": f"Bearer {self._access.key}"}
        url = f"{self._access.url.rstrip('/')}/v1"
        with tempfile.TemporaryDirectory(prefix="fleetlog-thermometer-") as directory:
            command = example.command("thermometer", self._endpoint, devices[0], secrets[devices[0]], Path(directory))
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60.0) as api:
                try:
                    return await _told(api, devices, command)
                except (httpx.HTTPError, TimeoutError) as error:
                    return [Check(False, f"the thermometer was not told: {type(error).__name__} {error}")]


async def _told(api: httpx.AsyncClient, devices: list[tuple[str, str]], command: tuple[str, ...]) -> list[Check]:
    for product, device in devices:
        tagged = await api.put(f"/products/{product}/devices/{device}/tags", json={"tags": [TAG]})
        tagged.raise_for_status()
    product, device = devices[0]
    path = f"/products/{product}/devices/{device}"
    queued = (await api.post(f"{path}/commands", json=_interval(0.5))).raise_for_status().json()
    begun = time.monotonic()
    async with example.switched_on(command):
        where = f"/commands/{queued['request_id']}?device={product}/{device}"
        await example.until(lambda: _is_over(api, where))
        back = returned(queued["state"], (await api.get(where)).raise_for_status().json(), time.monotonic() - begun)
        begun = time.monotonic()
        answer = await api.post(f"{path}/rpc", json=_interval(1))
        call = called(answer.status_code, answer.json(), time.monotonic() - begun)
        answer = await api.post(f"{path}/probe", json={"mode": "normal"})
        probe = probed(answer.status_code, answer.json())
        return [back, call, probe, *await _by_tag(api, product)]


async def _by_tag(api: httpx.AsyncClient, product: str) -> list[Check]:
    sent = await api.post(f"/products/{product}/tags/{TAG}/commands", json=_interval(2))
    where = f"/fanouts/{sent.raise_for_status().json()['fanout_id']}"

    async def one_has_replied() -> bool:
        return bool((await api.get(where)).raise_for_status().json()["replied"])

    await example.until(one_has_replied)
    counts = (await api.get(where)).raise_for_status().json()
    ended = (await api.post(f"{where}:cancel")).raise_for_status().json()
    return [counted(counts), cancelled(ended, (await api.get(where)).raise_for_status().json())]


def _interval(seconds: float) -> dict[str, Any]:
    return {"name": "interval", "payload": seconds}


async def _is_over(api: httpx.AsyncClient, where: str) -> bool:
    answer = (await api.get(where)).raise_for_status()
    return answer.json()["ended_at"] is not None


def returned(state: str, entry: dict[str, Any], took: float) -> Check:
    """Say what came of a command to a device that was off.

    ``state``: as it was answered; ``took``: s since the device's start.
    """
    if (state, entry["state"]) != ("queued", "replied"):
        return Check(False, f"a command to a thermometer that was off was {state}, then {entry['state']}")
    return Check(True, f"a command to a thermometer that is off waits, and is replied to {took:.1f} s after its start")


def called(status: int, answer: dict[str, Any], took: float) -> Check:
    """Say what came of a call. ``took``: s."""
    reply = answer["reply"]["payload"] if status == httpx.codes.OK and answer.get("reply") else None
    if reply != {"interval": 1.0}:
        return Check(False, f"a call was not answered by the thermometer: {status} {str(answer)[:200]}")
    return Check(True, f"a call is answered by the device's own reply {took * 1000:,.0f} ms after it began")


def probed(status: int, answer: dict[str, Any]) -> Check:
    """Say what came of a probe."""
    if status != httpx.codes.OK or answer["verdict"] != "reachable":
        return Check(False, f"a probe did not reach the thermometer: {status} {str(answer)[:200]}")
    return Check(True, f"a probe reaches it, there and back in {answer['rtt_ms']:,} ms")


def counted(counts: dict[str, Any]) -> Check:
    """Say what a fan-out came to: one member is there, two were never."""
    told = ", ".join(f"{counts[name]} {name}" for name in ("members", "replied", "queued", "open"))
    return Check(
        [counts[name] for name in ("members", "replied", "queued", "open")] == [3, 1, 2, 2],
        f"a command to all of a tag, of which one is on: {told}",
    )


def cancelled(ended: dict[str, Any], counts: dict[str, Any]) -> Check:
    """Say what came of its cancelling."""
    told = ", ".join(f"{counts[name]} {name}" for name in ("replied", "cancelled", "open"))
    held = ended["cancelled"] == 2 and [counts[name] for name in ("replied", "cancelled", "open")] == [1, 2, 0]
    return Check(held, f"what waits of it is cancelled: {told}")
