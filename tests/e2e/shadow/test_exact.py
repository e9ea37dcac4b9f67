"""Shadows with everything real: HTTP, the broker, devices, and services that are killed."""

from __future__ import annotations

import asyncio
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from devstack.stack import Stack
from libs.topics import names
from tests.e2e.shadow.applications import PATIENCE, Application, insist, path
from tests.e2e.shadow.books import Books
from tests.e2e.shadow.gadgets import AliyunGadget, crowd
from tests.integration.api.calling import client, ready
from tests.support.kills import kill
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.shadow.gadgets import Gadget, PahoGadget

pytestmark = pytest.mark.timeout(300)

DEVICES, RESTLESS = 100, 20
POPULAR = 5
"""Devices about which applications come into each other's way."""
APPLICATIONS = 8
ACCEPTED = 50
"""Changes before a kill, and after the last."""
CHANGES = 1000
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All that shadows need; devices need no credentials."""
    services = ("registry", "ingest", "presence", "shadow", "downlink", "api")
    with Stack(tmp_path_factory.mktemp("shadows"), services=services) as running:
        ready(running)
        yield running


async def register(calling: httpx.AsyncClient, product: str, devices: list[str]) -> None:
    made = await calling.post("/v1/products", json={"product_id": product})
    assert made.status_code == httpx.codes.CREATED, made.text
    many = {"devices": [{"device_id": device} for device in devices]}
    made = await calling.post(f"/v1/products/{product}/devices:bulk", json=many)
    assert {result["outcome"] for result in made.json()["results"]} == {"created"}, made.text


async def shown(calling: httpx.AsyncClient, product: str, device: str) -> dict[str, Any]:
    answer, _ = await insist(calling, "GET", path(product, device))
    assert answer.status_code == httpx.codes.OK, answer.text
    document: dict[str, Any] = answer.json()
    return document


def told(stack: Stack, product: str) -> dict[str, dict[str, Any]]:
    """What the hub has sent to the product's devices, by id."""
    prefix = f"{product}/".encode()
    found = read_all(stack.kafka, names.DOWNLINK_MESSAGES)
    return {
        record.message["id"]: record.message["payload"] for record in found if (record.key or b"").startswith(prefix)
    }


async def test_a_device_that_was_offline_for_a_thousand_changes_is_told_once_what_came_of_them(stack: Stack) -> None:
    product = unique("away")
    gadget = AliyunGadget(stack.mqtt_port, product, "d0")
    async with client(stack) as calling:
        await register(calling, product, ["d0"])
        with gadget.connected(lasting=True, asks=False):  # what is said to it while it is away, the broker keeps
            await calling.patch(path(product, "d0"), json={"n": -1, "first": True}, headers=MERGE)
            await asyncio.to_thread(obeyed, gadget)
        away = lambda: is_offline(stack, f"{product}/d0".encode())  # noqa: E731
        await asyncio.to_thread(eventually, away, PATIENCE, describe="the shadow service knows that it is offline")
        before = told(stack, product)

        numbers = iter(range(CHANGES))

        async def change() -> None:
            for number in numbers:
                patch = {"n": number, "last": {f"of{number % 10}": number}}
                answer = await calling.patch(path(product, "d0"), json=patch, headers=MERGE)
                assert answer.status_code == httpx.codes.OK, answer.text

        await asyncio.gather(*(change() for _ in range(APPLICATIONS)))
        desired = (await shown(calling, product, "d0"))["state"]["desired"]
        assert told(stack, product) == before, "something was said to a device that is offline"
        gadget.heard.clear()
        with gadget.connected(lasting=True, asks=False):
            await asyncio.to_thread(obeyed, gadget)
        assert gadget.state == desired
        assert (await shown(calling, product, "d0"))["delta"] == {}
    since = [payload for key, payload in told(stack, product).items() if key not in before]
    assert [payload["method"] for payload in since] == ["control", "reply"]
    assert gadget.heard == since
    assert since[0]["payload"]["state"]["desired"] == desired
    assert sum(event.via == "api" for event in Books(stack.kafka, product).log["d0"]) == CHANGES + 1


def obeyed(gadget: PahoGadget) -> None:
    """Return when it was told what is desired, and that its report of that is accepted."""
    eventually(lambda: len(gadget.heard) >= 2, PATIENCE, describe="what is desired, and the answer to its report")


def is_offline(stack: Stack, key: bytes) -> bool:
    """Whether the shadow service is told so before all that is asked of it from now on."""
    inbox = [record.message for record in read_all(stack.kafka, names.SHADOW_INBOX, key=key)]
    sessions = [message["new"] for message in inbox if message["type"] == "presence_changed"]
    return sessions[-1:] == ["offline"]


async def converged(calling: httpx.AsyncClient, product: str, devices: list[str]) -> None:
    """Return when every device has reported all that is desired of it."""
    waiting = list(devices)

    async def settled() -> bool:
        documents = await asyncio.gather(*(shown(calling, product, device) for device in waiting))
        waiting[:] = [document["device_id"] for document in documents if document["delta"]]
        assert not waiting, f"{waiting} are not as desired; the first: {documents[0]}"
        return True

    await eventually_async(settled, PATIENCE, describe="all devices are as desired")


async def test_killed_one_by_one_the_services_lose_double_and_overwrite_nothing(stack: Stack) -> None:
    product = unique("crowd")
    gadgets = crowd(stack.mqtt_port, product, DEVICES)
    everybody = [gadget.device for gadget in gadgets]
    calm, over, enough = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with client(stack) as calling:
        await register(calling, product, everybody)
        popular, turns = everybody[-POPULAR:], cycle(everybody)
        applications = [Application(f"a{number}", calling, product, popular, turns) for number in range(APPLICATIONS)]
        async with asyncio.TaskGroup() as group:
            for number, gadget in enumerate(gadgets):
                group.create_task(gadget.live(restless=number < RESTLESS, calm=calm, over=over))
            working = [group.create_task(application.work(enough)) for application in applications]
            for service in ("shadow", "downlink", "ingest", "api"):
                await progress(applications)
                await asyncio.to_thread(kill, stack, service)
            await progress(applications)
            enough.set()
            await asyncio.gather(*working)
            calm.set()
            await converged(calling, product, everybody)
            live = {device: await shown(calling, product, device) for device in everybody}
            await asyncio.to_thread(assert_exact, stack, applications, gadgets, live)
            over.set()
    assert sum(application.conflicts for application in applications) > 0
    assert sum(gadget.lives for gadget in gadgets) > DEVICES + RESTLESS


async def progress(applications: list[Application]) -> None:
    def accepted() -> int:
        return sum(len(application.accepted) for application in applications)

    wanted = accepted() + ACCEPTED

    async def reached() -> bool:
        return accepted() >= wanted

    await eventually_async(reached, PATIENCE, describe=f"{ACCEPTED} more changes are accepted")


def assert_exact(
    stack: Stack, applications: list[Application], gadgets: list[Gadget], live: dict[str, dict[str, Any]]
) -> None:
    product = gadgets[0].product
    books = Books(stack.kafka, product)
    answers = list(chain.from_iterable(application.accepted for application in applications))
    assert books.unlike(answers) == []
    assert len(books.log) > DEVICES / 2
    for gadget in gadgets:
        device, shown_now = gadget.device, live[gadget.device]
        folded = books.folded(device)
        assert books.documents.get(device) == folded
        if folded is None:  # nobody came to it
            assert shown_now["version"] == 0
            continue
        assert msgspec.to_builtins(folded) == {"type": "shadow_document", **shown_now}
        reported = shown_now["state"].get("reported", {})
        assert gadget.state == reported, device
        assert counts(books, device) == list(range(1, reported.get("count", 0) + 1))
        for name, number in reported.get("by", {}).items():
            assert number == max(
                answer.patch["by"][name]
                for answer in answers
                if answer.device == device and name in answer.patch.get("by", {})
            )


def counts(books: Books, device: str) -> list[int]:
    """What was counted up to, in the order of the changes."""
    desired = [event.desired for event in books.log[device] if event.cause == "desired_changed"]
    return [patch["count"] for patch in desired if patch is not None and "count" in patch]
