"""Shadows against the whole hub: devices of the SDK in every form, applications with the command line, and `verify`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.exits import Exit
from devstack.ports import HOST
from fleetlog_device import Device, Document, MemoryStore
from tests.support import records
from tests.support.guarded import await_entry
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetlog_device.shadows import Form
    from tests.integration.cli.conftest import CommandLine

FORMS: tuple[Form, ...] = ("native", "iothub", "aliyun")
ROUNDS = 8


class Application:
    """Changes shadows over the HTTP API while devices go on."""

    def __init__(self, fleetlog: CommandLine, product: str) -> None:
        stack = fleetlog.stack
        key = json.loads((stack.state / "api.json").read_bytes())["key"]
        self._client = httpx.AsyncClient(
            base_url=f"{stack.api_url}/v1/products/{product}/devices",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60.0,
        )

    async def set(self, shadow: str, **desired: Any) -> dict[str, Any]:
        return self._document(await self._client.patch(f"/{shadow}", json=desired))

    async def set_and_wait(self, shadow: str, **desired: Any) -> dict[str, Any]:
        """Wait until the device reports it."""
        answer = await self._client.patch(f"/{shadow}", params={"wait": "30s"}, json=desired)
        assert answer.status_code == httpx.codes.OK, answer.text
        return self._document(answer)

    async def get(self, shadow: str) -> dict[str, Any]:
        return self._document(await self._client.get(f"/{shadow}"))

    async def agreed(self, shadow: str) -> dict[str, Any]:
        """Wait until the device has reported all that is desired."""
        found: dict[str, Any] = {}

        async def agrees() -> bool:
            found.update(await self.get(shadow))
            return bool(found["delta"] == {})

        await eventually_async(agrees, 60, describe=f"{shadow} is as desired")
        return found

    async def close(self) -> None:
        await self._client.aclose()

    @staticmethod
    def _document(answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, answer.text
        document: dict[str, Any] = answer.json()
        return document


class Machine:
    """Does what is desired of it; ``told``: each delta that it heard of."""

    def __init__(self, name: str, form: Form, make: Callable[[str, Form, MemoryStore], Device]) -> None:
        self.name, self.form, self._make = name, form, make
        self.told: list[dict[str, Any]] = []
        self._store = MemoryStore()

    def device(self) -> Device:
        """It as a new process, which knows what the one before has stored."""
        device = self._make(self.name, self.form, self._store)
        device.shadow.on_delta(self._do)
        return device

    def _do(self, delta: dict[str, Any], _document: Document) -> None:
        self.told.append(delta)


async def lived(application: Application, machine: Machine) -> None:
    shadow = f"{machine.name}/shadow"
    async with machine.device() as device:
        await device.wait_connected(30)
        assert await device.shadow.report({"colour": "red"}, timeout=60) == 1
        done = await application.set_and_wait(shadow, colour="green")
        assert done["state"]["reported"] == {"colour": "green"}
        for number in range(ROUNDS):  # both sides at once, each time
            await asyncio.gather(
                application.set(shadow, wanted=number), device.shadow.report({"reading": number}, timeout=60)
            )
        document = await application.agreed(shadow)
        assert document["state"]["reported"] == {"colour": "green", "wanted": ROUNDS - 1, "reading": ROUNDS - 1}
    machine.told.clear()
    for number in range(100, 103):
        await application.set(shadow, wanted=number)
    async with machine.device():
        document = await application.agreed(shadow)
    assert document["state"]["reported"]["wanted"] == 102
    assert machine.told == [{"wanted": 102}], "one delta, whatever was desired in between"
    desired = {} if machine.form != "native" else {"colour": "green", "wanted": 102}
    assert document["state"].get("desired", {}) == desired, "dialects clear what is acknowledged, the native form never"


async def named(application: Application, machine: Machine) -> None:
    shadow = f"{machine.name}/shadows/night"
    async with machine.device() as device:
        night = device.named_shadow("night")

        @night.on_delta
        def dim(delta: dict[str, Any], _document: Document) -> dict[str, Any]:
            return {"level": min(delta["level"], 30)}

        assert await night.report({"level": 0}, timeout=60) == 1
        assert (await application.set(shadow, level=80))["delta"] == {"level": 80}

        async def dimmed() -> bool:
            document = await application.get(shadow)
            return bool(document["state"]["reported"] == {"level": 30})

        await eventually_async(dimmed, 60, describe="the lamp is as bright as it can be")
        assert (await application.set_and_wait(shadow, level=20))["delta"] == {}


def plant(fleetlog: CommandLine, devices: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """A new product, with the secrets of its devices, which the broker lets in."""
    product = unique("plant")
    fleetlog.done("products", "create", product)
    secrets = {name: fleetlog.done("devices", "register", f"{product}/{name}")["secret"] for name in devices}
    for name, secret in secrets.items():
        await_entry(fleetlog.stack, f"{product}/{name}", secret)
    return product, secrets


@pytest.mark.timeout(240)
async def test_devices_of_every_form_and_applications_change_shadows_at_once(fleetlog: CommandLine) -> None:
    product, secrets = await asyncio.to_thread(plant, fleetlog, FORMS)

    def make(name: str, form: Form, store: MemoryStore) -> Device:
        where: dict[str, Any] = {"host": HOST, "port": fleetlog.stack.mqtt_port, "session_expiry": 0}
        return Device(product, name, secrets[name], store=store, shadow=form, **where)

    application = Application(fleetlog, product)
    machines = [Machine(form, form, make) for form in FORMS]
    try:
        await asyncio.gather(*(lived(application, machine) for machine in machines))
        await named(application, machines[1])
    finally:
        await application.close()
    verified = await asyncio.to_thread(fleetlog.done, "shadow", "verify")
    assert (verified["differences"], verified["unreadable"], verified["unanswered"]) == ([], [], 0)
    assert verified["events"] > len(FORMS) * ROUNDS * 2


def test_the_past_of_a_shadow_and_its_end(fleetlog: CommandLine) -> None:
    product, _ = plant(fleetlog, ("press-1", "press-2"))
    device = f"{product}/press-1"
    fleetlog.done("shadow", "set", device, "led.mode=eco", "led.on=true")
    assert fleetlog.done("shadow", "replace", device, '{"speed": 3}', "--expected", "1")["version"] == 2
    refused = fleetlog("shadow", "set", device, "speed=4", "--expected", "1")
    assert (refused.status, "version_conflict" in refused.err) == (Exit.CONFLICT, True)
    late = fleetlog("shadow", "set", device, "speed=5", "--wait", "1s", "--json")
    assert (late.status, late.lines[0]["state"]["desired"]) == (Exit.UNAVAILABLE, {"speed": 5})
    fleetlog.done("shadow", "set", device, "level=1", "--name", "night")

    assert [shadow["shadow"] for shadow in fleetlog("shadow", "list", device, "--json").lines] == [None, "night"]
    eventually(lambda: fleetlog("shadow", "get", device, "--version", "3").status == Exit.OK, 60)
    assert fleetlog.done("shadow", "get", device, "--version", "1")["state"]["desired"] == {
        "led": {"mode": "eco", "on": True}
    }
    found = fleetlog.done("shadow", "diff", device, "2", "3")
    assert (found["desired"], found["reported"]) == ([{"path": "/speed", "old": 3, "new": 5}], [])
    changes = fleetlog("shadow", "history", device, "--json").lines
    assert [change["version"] for change in changes if change["type"] == "shadow_changed"] == [3, 2, 1]
    assert [change["code"] for change in changes if change["type"] != "shadow_changed"] == ["version_conflict"]

    fleetlog.done("tags", "add", f"{product}/press-2", "hall-3")

    def patched() -> bool:
        return bool(fleetlog.done("shadow", "patch-tag", product, "hall-3", "mode=eco")["changed"] == 1)

    eventually(patched, 60, describe="the tag reaches the shadow")
    assert fleetlog.done("shadow", "clear", device)["state"].get("desired", {}) == {}
    assert fleetlog("shadow", "delete", device, "--yes").status == Exit.OK
    assert fleetlog.done("shadow", "get", device)["version"] == 5
    assert fleetlog("status", device).status == Exit.NOT_FOUND


def test_a_document_that_somebody_altered_is_found_and_so_is_one_that_is_gone(fleetlog: CommandLine) -> None:
    product, _ = plant(fleetlog, ("press-1", "press-2"))
    for name in ("press-1", "press-2"):
        for number in range(3):
            fleetlog.done("shadow", "set", f"{product}/{name}", f"speed={number}")
    keys = [f"{product}/{name}".encode() for name in ("press-1", "press-2")]
    eventually(lambda: fleetlog("shadow", "verify", "--patience", "1s").status == Exit.OK, 60)
    written = records.read_all(fleetlog.stack.kafka, "shadow.documents")
    sound = {record.key: record.value for record in written if record.key in keys}
    altered = {**json.loads(sound[keys[0]] or b""), "desired_version": 1}
    records.produce(
        fleetlog.stack.kafka, "shadow.documents", [(keys[0], json.dumps(altered).encode()), (keys[1], None)]
    )
    ran = fleetlog("shadow", "verify", "--patience", "1s", "--json")
    assert ran.status == Exit.FAILED
    (report,) = ran.lines
    assert [(one["device"], one["where"], one["kind"], one["version"]) for one in report["differences"]] == [
        (f"{product}/press-1", "shadow.documents", "content", 3),
        (f"{product}/press-2", "shadow.documents", "missing", 3),
    ]
    told = fleetlog("shadow", "verify", "--patience", "1s").out
    assert f"{product}/press-1, version 3 (sound up to 0): shadow.documents: " in told
    records.produce(fleetlog.stack.kafka, "shadow.documents", list(sound.items()))
    assert fleetlog("shadow", "verify", "--from-time", "1d").status == Exit.OK
