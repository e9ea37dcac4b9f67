"""The MQTT broker ends under load: in order nothing is lost; killed, only what it alone had."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from typing import TYPE_CHECKING

from devstack.ports import HOST
from fleet import dataset
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import plan
from tests.e2e.faults.scene import COMERS, PATIENCE, assert_presence_equals_its_replay, flood, published
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.uplink import (
    DEVICES,
    assert_clickhouse_equals_kafka,
    assert_exact,
    await_stored,
    is_balanced,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.support.mqtt_load import Load
    from devstack.stack import Stack
    from fleet.audit import Audit

FIRST, SECOND = 40_000, 10_000
"""Messages before and after."""


def end_the_broker(stack: Stack, load: Load, number: signal.Signals) -> int:
    """Ends it in mid-flood; returns how many messages it had acknowledged."""
    published(load, FIRST // 4)
    before = stack.pid("mosquitto")
    stack.kill("mosquitto", number)
    eventually(lambda: stack.pid("mosquitto") not in {None, before}, describe="mosquitto started again")
    failure = load.failure(PATIENCE)
    assert isinstance(failure, OSError), failure
    assert load.acknowledged < FIRST, "the flood was over before the broker ended"
    return load.acknowledged


async def test_a_broker_that_ends_in_order_loses_nothing_that_it_had_acknowledged(stack: Stack, audit: Audit) -> None:
    """Every device is cut off by it, comes again, and presence tells both."""
    scripts = plan(3, COMERS, 15, rate=2, prefix=unique("comers"))
    async with Fleet(scripts, Endpoint(HOST, stack.mqtt_port), unique("run"), dataset.load()) as fleet:
        playing = asyncio.create_task(fleet.play())
        await asyncio.to_thread(end_in_order, stack)
        await playing
        verdict = await audit.settle(fleet.truth, PATIENCE)
    assert verdict.findings == [], verdict.findings
    assert verdict.causes is not None
    assert verdict.causes["source_restarted"] > 0


def end_in_order(stack: Stack) -> None:
    product = unique("sigterm")
    with flood(stack, product, FIRST) as load:
        acknowledged = end_the_broker(stack, load, signal.SIGTERM)
    stack.wait_ready()
    await_second_flood(stack)  # it has gone the same way behind what is left of the first
    eventually(lambda: is_balanced(stack), PATIENCE)
    found = stored(stack, product)
    arrived = sum(map(len, found.values()))
    assert_exact(found, arrived)
    assert acknowledged <= arrived <= acknowledged + load.ahead
    assert_clickhouse_equals_kafka(stack, product, PATIENCE)
    assert_presence_equals_its_replay(stack, product)


def test_a_broker_that_is_killed_loses_only_what_it_had_and_nobody_else(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    product = unique("sigkill")
    with flood(stack, product, FIRST) as load:
        acknowledged = end_the_broker(stack, load, signal.SIGKILL)
    stack.wait_ready()
    await_second_flood(stack)
    eventually(lambda: is_balanced(stack), PATIENCE)
    found = stored(stack, product)
    lost = acknowledged - sum(len(set(numbers)) for numbers in found.values())
    record_property("acknowledged_and_lost", lost)
    for device, numbers in found.items():
        # Lost is what it had not sent on yet, the end of each device's messages. What it had saved before it could note
        # our acknowledgement it sends once more as new, and nobody can tell: such repetitions come in order, too.
        once = list(dict.fromkeys(numbers))
        assert once == list(range(len(once))), f"{device}: a hole, or another order"
        assert sum(later < earlier for earlier, later in pairwise(numbers)) <= 1, device
    assert len(found) == DEVICES
    assert_clickhouse_equals_kafka(stack, product, PATIENCE)
    assert_presence_equals_its_replay(stack, product)


def await_second_flood(stack: Stack) -> None:
    """The hub works on as if nothing had been."""
    product = unique("after")
    with flood(stack, product, SECOND) as load:
        assert load.done(PATIENCE) == SECOND
    assert_exact(await_stored(stack, product, SECOND, PATIENCE), SECOND)
