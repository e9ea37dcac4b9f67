"""Connections that fail, are refused, break, and come back; processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devstack.ports import HOST, free_port
from fleetlog_device import (
    Backoff,
    BufferFull,
    BufferLimits,
    ConnectionLost,
    CredentialsRefused,
    Device,
    Dropped,
    MemoryStore,
    NoSecret,
    NotConnected,
)
from tests.support.device_hub import SECRETS, GuardedBroker, Hub, hub_at, where
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
QUICK = Backoff(first=0.05, longest=0.2)


def device(broker: GuardedBroker, secret: str | None = SECRETS["p/d"], **more: Any) -> Device:
    arguments = {"store": MemoryStore(), "session_expiry": 0, "backoff": QUICK, **where(broker), **more}
    return Device("p", "d", secret, **arguments)


@contextmanager
def process(broker: GuardedBroker, directory: Path, uploads: int) -> Iterator[subprocess.Popen[bytes]]:
    """Ends by SIGKILL."""
    script = ROOT / "tests" / "support" / "device_process.py"
    arguments = (HOST, str(broker.port), str(directory / "store"), str(directory / "notes"), str(uploads))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python")}
    with subprocess.Popen((sys.executable, str(script), *arguments), env=environment) as running:
        try:
            yield running
        finally:
            running.kill()


async def noted(directory: Path, line: str) -> None:
    async def there() -> bool:
        notes = directory / "notes"
        return notes.exists() and line in notes.read_text().splitlines()

    await eventually_async(there, 30, describe=f"the note {line!r}")


async def test_a_wrong_secret_ends_it_after_telling(broker: GuardedBroker) -> None:
    told: list[Exception] = []
    async with device(broker, "wrong", refusals=2) as d:
        d.on_disconnected(told.append)
        with pytest.raises(CredentialsRefused, match="Not authorized"):
            await d.run()
        for call in (d.wait_connected(), d.upload("t", 1)):
            with pytest.raises(CredentialsRefused):
                await call
    assert [type(reason) for reason in told] == [CredentialsRefused, CredentialsRefused]


async def test_a_device_may_go_on_asking(broker: GuardedBroker) -> None:
    told: list[Exception] = []

    async def often() -> bool:
        return len(told) >= 4

    async with device(broker, "wrong", refusals=None) as d:
        d.on_disconnected(told.append)
        await eventually_async(often, 20)


@pytest.mark.parametrize("secrets", [("new", SECRETS["p/d"]), (SECRETS["p/d"], "old")])
async def test_both_secrets_of_a_rotation_are_tried(broker: GuardedBroker, secrets: tuple[str, str]) -> None:
    async with device(broker, secrets[0], previous_secret=secrets[1], refusals=1) as d:
        await d.wait_connected(20)


async def test_without_a_secret_nothing_is_begun(broker: GuardedBroker) -> None:
    with pytest.raises(NoSecret, match="join"):
        async with device(broker, None):
            pass


@pytest.mark.parametrize("way", ["tls", "websocket"])
async def test_other_ways_to_the_hub(broker: GuardedBroker, hub: Hub, way: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "tls": {"port": broker.tls_port, "tls": broker.ca},
        "websocket": {"port": broker.websocket_port, "websocket": "/mqtt"},
    }
    async with device(broker, **ways[way]) as d:
        await (await d.upload("way", way)).acknowledged()
    assert [payload for _, payload in await hub.hears("upload_data/p/d/way/")] == [way.encode()]


async def test_a_hub_that_cannot_prove_itself_is_told_nothing(broker: GuardedBroker) -> None:
    told: list[Exception] = []

    async def failed() -> bool:
        return any(isinstance(reason, ConnectionLost) and "certificate" in str(reason).lower() for reason in told)

    async with device(broker, port=broker.tls_port, tls=True) as d:
        d.on_disconnected(told.append)
        await eventually_async(failed, 20)


async def test_nobody_there_is_waited_for_and_what_is_left_is_said(
    broker: GuardedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async with device(broker, port=free_port(), drain=0.1) as d:
        await d.upload("t", 1)
        with pytest.raises(NotConnected):
            await d.wait_connected(0.2)
    assert "1 messages that the hub has not acknowledged" in caplog.text


async def test_uplinks_outlast_a_broker_that_is_away_in_order_and_within_their_bounds(tmp_path: Path) -> None:
    away = GuardedBroker(tmp_path)
    away.start()
    events: list[str] = []
    try:
        async with hub_at(away, "watcher"):
            pass  # its subscription stands, and misses nothing from now on
        async with device(away, buffer=BufferLimits(messages=200, policy="raise")) as d:
            d.on_connected(lambda: events.append("connected"))
            d.on_disconnected(lambda _reason: events.append("disconnected"))
            first = await d.upload("n", 0)
            await first.acknowledged()
            await asyncio.to_thread(away.stop)
            receipts = [await d.upload("n", number) for number in range(1, 201)]
            with pytest.raises(BufferFull):
                await d.upload("n", 201)
            await asyncio.to_thread(away.start)
            receipts.append(await offered(d, 202))
            for receipt in receipts:
                await receipt.acknowledged()
            async with hub_at(away, "watcher") as hub:
                await hub.hears(f"upload_data/p/d/n/{receipts[-1].message_id}")
                heard = [int(payload) for _, payload in hub.of("upload_data/p/d/n/")]
        assert heard == [*range(201), 202]
        assert (events[:2], events[-1]) == (["connected", "disconnected"], "connected")
    finally:
        away.close()


async def offered(d: Device, number: int) -> Any:
    """Upload when there is room again."""

    async def accepted() -> Any:
        try:
            return await d.upload("n", number)
        except BufferFull:
            return None

    return await eventually_async(accepted, 30)


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [2, 3, 4]), ("drop_newest", [0, 1, 2])])
async def test_what_a_full_buffer_drops_is_told(broker: GuardedBroker, hub: Hub, policy: Any, kept: list[int]) -> None:
    store = MemoryStore()
    limits = BufferLimits(messages=3, policy=policy, persistent=True)
    async with device(broker, port=free_port(), store=store, buffer=limits, drain=0) as d:
        receipts = [await d.upload("n", number) for number in range(5)]
        assert (d.pending, d.dropped) == (3, 2)
        for number, receipt in enumerate(receipts):
            if number not in kept:
                with pytest.raises(Dropped):
                    await receipt.acknowledged()
    async with device(broker, store=store, buffer=limits) as d:
        await d.flush()
    assert [int(payload) for _, payload in await hub.hears("upload_data/p/d/n/", count=3)] == kept


async def test_a_killed_process_loses_no_uplink_and_runs_no_command_twice(tmp_path: Path) -> None:
    """Uploads without a broker, killed; commands under way, killed; everything is made good."""
    broker = GuardedBroker(tmp_path)
    try:
        with process(broker, tmp_path, 50):
            await noted(tmp_path, "uploaded 50")
        broker.start()
        async with hub_at(broker) as hub:
            with process(broker, tmp_path, 0):
                numbers = await hub.hears("upload_data/p/d/numbers/", count=50)
                await hub.hears("get/p/d/$tags/")
                await hub.say("cmd/p/d/count/plain/r1")
                await hub.hears("cmd_resp/p/d/count/")
                await hub.say("cmd/p/d/hang/plain/r2")
                await noted(tmp_path, "hang r2")
            with process(broker, tmp_path, 0):
                for name, request in (("count", "r1"), ("hang", "r2"), ("count", "r3")):
                    await hub.say(f"cmd/p/d/{name}/plain/{request}")
                await hub.hears("cmd_resp/p/d/count/r3/")
                replies = await hub.hears("cmd_resp/", count=3)
    finally:
        broker.close()
    assert [int(payload) for _, payload in numbers] == list(range(50))
    runs = [line for line in (tmp_path / "notes").read_text().splitlines() if not line.startswith("uploaded")]
    assert runs == ["count r1", "hang r2", "count r3"]
    outcomes = {topic.split("/")[4]: payload for topic, payload in replies}
    assert (outcomes["r1"], outcomes["r3"], len(replies)) == (b"counted", b"counted", 3)
    assert json.loads(outcomes["r2"])["error"]["code"] == "interrupted"


async def test_a_device_outside_of_async_with_says_so(broker: GuardedBroker) -> None:
    d = device(broker)
    with pytest.raises(NotConnected, match="async with"):
        await d.upload("t", 1)
    async with d:
        await d.upload("t", 1)
    for call in (d.upload("t", 1), d.wait_connected(), d.run()):
        with pytest.raises(NotConnected, match="async with"):
            await call
