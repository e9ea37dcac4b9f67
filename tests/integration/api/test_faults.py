"""kill -9 in the middle of a bulk registration, a registry that is away, an end in order."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from libs.runtime import secrets
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.registry_events import DeviceDocument, DeviceRegistered
from services.registry.fold import Event
from tests.integration.api.calling import client, outcomes, ready
from tests.support.api.life import create, problem
from tests.support.guarded import await_entry
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import read_all

if TYPE_CHECKING:
    from httpx import Response

    from devstack.stack import Stack

DEVICES = 2000
decode: Decoder[DeviceDocument] = Decoder(DeviceDocument)
decode_event: Decoder[Event] = Decoder(Event)


def documents(stack: Stack, product: str) -> dict[str, DeviceDocument]:
    """Compacted documents of a product's devices, as the broker's guard finds them."""
    found: dict[str, DeviceDocument] = {}
    for record in read_all(stack.kafka, names.REGISTRY_DEVICES):
        if record.value is not None and record.key is not None and record.key.startswith(f"{product}/".encode()):
            found[record.key.decode().partition("/")[2]] = decode(record.value)
    return found


def registrations(stack: Stack, product: str) -> list[str]:
    """Device ids of all registrations that were published, each event once: it may stand there again."""
    prefix = f"{product}/".encode()
    events = [
        record for record in read_all(stack.kafka, names.REGISTRY_EVENTS) if (record.key or b"").startswith(prefix)
    ]
    decoded = [decode_event(record.value) for record in events]
    registered = {event.id: event.device_id for event in decoded if isinstance(event, DeviceRegistered)}
    return sorted(registered.values())


async def attempt(stack: Stack, product: str, body: dict[str, object]) -> Response | None:
    """Send the bulk registration once; None: the connection broke, or nobody listened."""
    try:
        async with client(stack) as calling:
            path = f"/v1/products/{product}/devices:bulk"
            return await calling.post(path, json=body, headers={"Idempotency-Key": "the-whole-plant"})
    except httpx.TransportError:
        return None


def logins(stack: Stack, product: str) -> list[tuple[str, str]]:
    """(device id, hash) of every line that the guard keeps for a product's devices."""
    lines = (stack.guard_directory / "passwords").read_text(encoding="ascii").splitlines()
    users = (line.partition(":") for line in lines if line.startswith(f"{product}/"))
    return [(user.partition("/")[2], hashed) for user, _, hashed in users]


@pytest.mark.parametrize("victims", [["api"], ["registry"], ["guard"], ["guard", "registry", "api"]], ids="+".join)
async def test_a_bulk_registration_survives_kill_9(stack: Stack, victims: list[str]) -> None:
    """The same request, repeated, completes it: every device once, let in with the secret that its hash is of."""
    product = unique("plant")
    async with client(stack) as calling:
        await create(calling, product)
    body: dict[str, object] = {"devices": [{"device_id": f"d{number}"} for number in range(DEVICES)]}
    first = asyncio.create_task(attempt(stack, product, body))
    await eventually_async(lambda: _begun(stack, product), describe="some of the devices are registered")
    for victim in victims:
        stack.kill(victim, signal.SIGKILL)
    broken = await first
    shown = {} if broken is None or broken.is_error else outcomes(broken.json())

    async def complete() -> dict[str, dict[str, object]] | None:
        answer = await attempt(stack, product, body)
        if answer is None or answer.is_error:
            return None
        return outcomes(answer.json()) if answer.json()["created"] == DEVICES else None

    results = await eventually_async(complete, timeout=90, describe="the repeated request creates every device")
    assert results is not None
    for name, result in shown.items():
        if result["outcome"] == "created":
            assert result["secret"] == results[name]["secret"], f"another secret was shown for {name}"
    eventually(lambda: documents(stack, product).keys() == results.keys(), describe="every device has a document")
    stored = documents(stack, product)
    assert all(secrets.verify(str(results[name]["secret"]), stored[name].secret_hash) for name in stored)
    assert registrations(stack, product) == sorted(results), "a device was registered twice, or not at all"
    kept = {name: document.secret_hash for name, document in stored.items()}
    eventually(lambda: dict(logins(stack, product)) == kept, timeout=60, describe="the broker knows every secret")
    assert len(logins(stack, product)) == DEVICES
    for name in ("d0", f"d{DEVICES - 1}"):
        await asyncio.to_thread(await_entry, stack, f"{product}/{name}", str(results[name]["secret"]))


async def _begun(stack: Stack, product: str) -> bool:
    return len(await asyncio.to_thread(documents, stack, product)) > 100


async def test_without_a_registry_callers_are_told_to_come_again(stack: Stack) -> None:
    product = unique("plant")
    async with client(stack) as calling:
        await create(calling, product)
        stack.stop_service("registry")
        try:
            write, many, read, known = await asyncio.gather(
                calling.post(f"/v1/products/{product}/devices", json={"device_id": "d"}),
                calling.post(f"/v1/products/{product}/devices:bulk", json={"devices": [{}] * 1000}),
                calling.get(f"/v1/products/{product}/devices/d"),
                calling.get(f"/v1/products/{product}"),
            )
        finally:
            stack.start_service("registry")
            stack.wait_ready()
    problem(write, 503, "no_answer")
    problem(read, 503, "unavailable")
    problem(many, 503, "no_answer")
    assert [answer.headers["retry-after"] for answer in (write, read, many)] == ["1", "1", "1"]
    assert known.status_code == 200, "what the API follows itself is still told"


async def test_sigterm_lets_requests_end(stack: Stack) -> None:
    """What is under way is answered, and the process ends with success."""
    product = unique("plant")
    async with client(stack) as calling:
        await create(calling, product)
    body: dict[str, object] = {"devices": [{"device_id": f"d{number}"} for number in range(DEVICES)]}
    under_way = asyncio.create_task(attempt(stack, product, body))
    await eventually_async(lambda: _begun(stack, product), describe="some of the devices are registered")
    restarts = stack.restarts("api")
    stack.kill("api", signal.SIGTERM)
    answer = await under_way
    assert answer is not None, "the connection was cut"
    assert answer.json()["created"] == DEVICES
    eventually(lambda: stack.restarts("api") == restarts + 1, describe="the API ended")
    stack.wait_ready()
    ready(stack)
    assert "api ended with exit code 0" in (stack.logs / "stack.log").read_text()
