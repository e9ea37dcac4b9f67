"""kill -9 of every service under load: nothing that a device was told is safe is lost or doubled, presence is exact."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from devstack.ports import HOST
from devstack.stack import SERVICES
from fleet import dataset
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import plan
from tests.support.names import unique
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from devstack.stack import Stack
    from fleet.audit import Audit
    from fleet.truth import Truth

DEVICES, SECONDS, RATE = 50, 20, 10
PATIENCE = 60.0
"""Seconds. A service that was killed needs its group's session time-out before it works again."""


async def kill_each_in_turn(stack: Stack, truth: Truth) -> None:
    """Each at its share of the run, counted in acknowledged messages; first those that take longest to come back."""
    expected = DEVICES * SECONDS * RATE * 0.7
    for number, service in enumerate(reversed(SERVICES), start=1):
        share = expected * number / (len(SERVICES) + 2)

        async def reached(share: float = share) -> bool:
            return truth.acknowledgements() > share

        await eventually_async(reached, SECONDS * 2, describe=f"{share:.0f} acknowledged messages")
        stack.kill(service, signal.SIGKILL)


async def test_nothing_acknowledged_is_lost_or_doubled_and_presence_is_exact(stack: Stack, audit: Audit) -> None:
    before = {service: stack.restarts(service) for service in SERVICES}
    scripts = plan(3, DEVICES, SECONDS, rate=RATE, prefix=unique("kills"))
    async with Fleet(scripts, Endpoint(HOST, stack.mqtt_port), unique("run"), dataset.load()) as fleet:
        async with asyncio.TaskGroup() as run:
            run.create_task(fleet.play())
            run.create_task(kill_each_in_turn(stack, fleet.truth))
        verdict = await audit.settle(fleet.truth, PATIENCE)

    assert verdict.findings == []
    assert {service: stack.restarts(service) - before[service] for service in SERVICES} == dict.fromkeys(SERVICES, 1)
    assert fleet.truth.acknowledgements() > DEVICES * SECONDS * RATE / 2
    assert verdict.letters == 0
