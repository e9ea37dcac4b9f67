"""A hub under load, and its books afterwards.

The load is a flood of telemetry from one connection and, beside it, devices that come and go. Afterwards everything
that was acknowledged must be in Kafka once and in order, ClickHouse's rows must equal Kafka's records, and presence's
rows and logs the replay of its inbox.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bench.support.mqtt_load import CHUNK, Load
from devstack.ports import HOST
from fleet import dataset
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import plan
from tests.integration.presence.inbox import await_folded, unlike_the_replay
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.uplink import assert_clickhouse_equals_kafka, assert_exact, await_stored, is_balanced, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.stack import Stack
    from fleet.audit import Audit

RATE: Final = 5_000
"""Messages per second of the flood, as far as the machine can."""
COMERS: Final = 40
"""Devices that come and go beside it."""
PATIENCE: Final = 120.0
"""Seconds that the hub gets to catch up."""


def flood(stack: Stack, product: str, count: int, start: int = 0) -> Load:
    """``count`` messages at `RATE`, to be entered as a context."""
    return Load(stack.mqtt_internal_port, messages(product, count, start), pause=CHUNK / RATE)


class Scene:
    """One fault under load. ``seconds``: of the devices that come and go; not ``restless``: that stay."""

    def __init__(self, stack: Stack, audit: Audit, count: int, seconds: int, *, restless: bool = True) -> None:
        self.stack, self.audit, self.count = stack, audit, count
        self.flood, self.comers = unique("flood"), unique("comers")
        self._seconds, self._restless = seconds, restless

    async def play(self, fault: Callable[[Load], None]) -> None:
        """Play the load with ``fault`` in it, which runs in a thread; then hold the books against each other."""
        scripts = plan(3, COMERS, self._seconds, rate=2, prefix=self.comers)
        if not self._restless:
            scripts = tuple(script for script in scripts if script.behaviour == "steady")
        async with Fleet(scripts, Endpoint(HOST, self.stack.mqtt_port), unique("run"), dataset.load()) as fleet:
            playing = asyncio.create_task(fleet.play())
            await asyncio.to_thread(self._endure, fault)
            await playing
            verdict = await self.audit.settle(fleet.truth, PATIENCE)
        assert verdict.findings == [], verdict.findings
        assert verdict.letters == 0
        await asyncio.to_thread(self._balance)

    def _endure(self, fault: Callable[[Load], None]) -> None:
        with flood(self.stack, self.flood, self.count) as load:
            fault(load)
            assert load.done(PATIENCE) == self.count

    def _balance(self) -> None:
        stack = self.stack
        stack.wait_ready()
        assert_exact(await_stored(stack, self.flood, self.count, PATIENCE), self.count)
        eventually(lambda: is_balanced(stack), PATIENCE, describe="ingest's books balance")
        assert_clickhouse_equals_kafka(stack, self.flood, PATIENCE)
        assert_presence_equals_its_replay(stack, self.comers)


def assert_presence_equals_its_replay(stack: Stack, product: str) -> None:
    """``product`` may be the beginning of several."""
    await_folded(stack.kafka, stack.partitions, PATIENCE)
    assert unlike_the_replay(stack.kafka, stack.partitions, product) == []


def published(load: Load, count: int) -> None:
    """Return when so many messages of the flood were acknowledged."""
    eventually(lambda: load.acknowledged >= count, PATIENCE, describe=f"{count} acknowledged messages")
