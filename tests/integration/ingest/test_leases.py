"""Leases of a real mosquitto, written by an ingest of the test's own: what ends them, and what they stand behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from devstack.environment import process_environment
from libs.topics import names
from libs.topics.identity import BROADCAST_KEY
from tests.support.devices import connected, publish
from tests.support.emqx_api import KEY, SECRET, EmqxApi, client
from tests.support.names import unique
from tests.support.polling import eventually, eventually_async
from tests.support.records import Record, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack

CHECKOUT = Path(__file__).parents[3]
LEASE = 4
"""Seconds."""


class Watcher:
    """An ingest with a session and a source of its own."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self.stack, self.client_id = stack, unique("leases")
        self.source = f"mosquitto:{self.client_id}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, more: dict[str, str] | None = None) -> None:
        told = self.stack.env("ingest") | {
            "FLEETLOG_CLIENT_ID": self.client_id,
            "FLEETLOG_SOURCE": self.source,
            "FLEETLOG_LEASE_S": str(LEASE),
            "FLEETLOG_OPS_PORT": "0",
            **(more or {}),
        }
        command = (sys.executable, "-m", "services.ingest")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=CHECKOUT, env=process_environment(told), stdout=log, stderr=log
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def wait(self) -> int:
        assert self._process
        return self._process.wait(30)

    def inbox(self) -> list[Record]:
        """What it wrote, in order per partition."""
        mine = b'"source":"%s"' % self.source.encode()
        return [record for record in read_all(self.stack.kafka, names.PRESENCE_INBOX) if mine in (record.value or b"")]

    def leases(self) -> list[Record]:
        return [record for record in self.inbox() if record.message["type"] == "lease_renewed"]

    def expires_at(self) -> int:
        return max((int(record.message["expires_at"]) for record in self.leases()), default=0)

    def holds(self) -> bool:
        """Whether every partition has a lease that is valid now."""
        now = time.time() * 1000
        valid = {record.partition for record in self.leases() if record.message["expires_at"] > now}
        return valid == set(range(self.stack.partitions))

    def lapsed(self) -> bool:
        return self.expires_at() < time.time() * 1000

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self.wait()
        for session in (self.client_id, f"{self.client_id}-0"):  # else the broker queues for it for a week
            with connected(self.stack.mqtt_internal_port, None, client_id=session):
                pass


@pytest.fixture
def stranger(brokers: Stack, tmp_path: Path) -> Iterator[Watcher]:
    """Not started."""
    watcher = Watcher(brokers, tmp_path / "ingest.log")
    try:
        yield watcher
    finally:
        watcher.end()


@pytest.fixture
def watcher(stranger: Watcher) -> Watcher:
    stranger.start()
    eventually(stranger.holds, 60, describe="the first lease")
    return stranger


def test_what_was_queued_while_ingest_was_away_stands_before_the_next_lease(watcher: Watcher, brokers: Stack) -> None:
    device = f"{unique()}/d1"
    watcher.send(signal.SIGKILL)
    watcher.wait()
    before = {(record.partition, record.offset) for record in watcher.leases()}
    publish(brokers.mqtt_port, device, [])
    eventually(watcher.lapsed, 30)
    watcher.start()
    eventually(watcher.holds, 60)
    events = [record for record in watcher.inbox() if record.key == device.encode()]
    assert [record.message["event"] for record in events] == ["connect", "tcpclean"]
    new = [record for record in watcher.leases() if (record.partition, record.offset) not in before]
    assert all(record.key == BROADCAST_KEY and record.partition == record.message["partition"] for record in new)
    first = min(record.offset for record in new if record.partition == events[0].partition)
    assert all(record.offset < first for record in events)


def test_a_lease_lapses_while_nobody_hears_the_source_and_comes_again(watcher: Watcher, brokers: Stack) -> None:
    with watcher.frozen():
        eventually(watcher.lapsed, 30, describe="a lapse while ingest stands still")
    eventually(watcher.holds, 60, describe="a lease after ingest went on")

    brokers.kill("mosquitto", signal.SIGSTOP)  # the connection stays half open
    try:
        eventually(watcher.lapsed, 30, describe="a lapse while the broker stands still")
    finally:
        brokers.kill("mosquitto", signal.SIGCONT)
    eventually(watcher.holds, 60, describe="a lease after the broker went on")

    watcher.send(signal.SIGTERM)
    assert watcher.wait() == 0
    last = watcher.expires_at()
    eventually(watcher.lapsed, 30, describe="a lapse after the orderly end")
    assert watcher.expires_at() == last


async def test_a_list_of_clients_is_told_whole_before_the_first_lease(stranger: Watcher) -> None:
    """The session is mosquitto's, the list EMQX's."""
    product, now = unique("listed"), int(time.time() * 1000)
    node = f"emqx@{product}"
    stranger.source = f"emqx:{node}"
    async with EmqxApi().served() as api:
        api.nodes = {node: 60_000}
        api.clients = [client(n, now - n, node, username=f"{product}/d{n}") for n in range(300)]
        api.answer["/api/v5/nodes"] = partial(after_a_failure, api)
        stranger.start(
            {
                "FLEETLOG_BROKER": "emqx",
                "FLEETLOG_NODES": node,
                "FLEETLOG_BROKER_API_URL": api.url,
                "FLEETLOG_BROKER_API_KEY": KEY,
                "FLEETLOG_BROKER_API_SECRET": SECRET,
            }
        )

        async def holds() -> bool:
            return await asyncio.to_thread(stranger.holds)

        await eventually_async(holds, 90, describe="the first lease")
    records = [record for record in stranger.inbox() if record.message["type"] != "traffic_seen"]
    named = {record.message["channel_id"] for record in records if record.message["type"] == "connection_observed"}
    assert named == {f"{now - n}-{node}" for n in range(300)}
    for partition in range(stranger.stack.partitions):
        told = [record.message["type"] for record in records if record.partition == partition]
        connects = told.count("connection_observed")
        whole = ["source_listed", *["connection_observed"] * connects, "source_listing_ended"]
        assert told[: len(whole)] == whole
        assert set(told[len(whole) :]) == {"lease_renewed"}


async def after_a_failure(api: EmqxApi, _: web.Request) -> web.StreamResponse:
    """The first question for the nodes fails."""
    del api.answer["/api/v5/nodes"]
    return web.Response(status=500)
