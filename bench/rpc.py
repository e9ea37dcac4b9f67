"""Calls of devices: HTTP -> API -> Kafka -> commands -> Kafka -> downlink -> mosquitto -> device, and all the way back.

1,000 devices are connected, all in one process; each replies at once. Calls follow a schedule, one device after the
other, and each counts from the moment at which it was due, whoever held it up. Before it counts, the schedule runs for
a while: Kafka's compiler takes several times what the calls do until it has seen enough of them. Afterwards
``waiters`` callers wait at the same time, since their devices think for some seconds. Whatever is answered but the
device's own reply is an error. Applications and devices need CPU of the same machine (``load``, ``devices``).
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.support.calls import Calls
from bench.support.command_hub import PRODUCT, Spent, with_hub
from bench.support.fleets import Crowds, register
from bench.support.paced import percentile
from bench.support.process import Foreign

if TYPE_CHECKING:
    from devstack import api_key
    from devstack.stack import Stack

DEVICES: Final = 1_000
RATE: Final = 300
"""Calls per second."""
WAITERS: Final = 2_000
HELD: Final = 8.0
"""Seconds for which devices think, so that all callers wait at the same time."""


class Size(msgspec.Struct, frozen=True):
    warm_up: float
    seconds: float


QUICK = Size(warm_up=12, seconds=5)
FULL = Size(warm_up=30, seconds=30)


def run(quick: bool) -> dict[str, Any]:
    size = QUICK if quick else FULL
    return with_hub(partial(_measure, size))


async def _measure(size: Size, stack: Stack, access: api_key.Access) -> dict[str, Any]:
    await register(access, PRODUCT, DEVICES)
    async with Crowds(stack.mqtt_port, PRODUCT, DEVICES) as crowds:
        calls = Calls(access, PRODUCT, DEVICES)
        for part in (0.1, 0.25, 0.5, 1.0):
            await calls.by_schedule(int(size.warm_up * RATE * part / 4), RATE * part)
        calls.forget()
        count, spent = int(size.seconds * RATE), Spent(stack, devices=crowds.pid, load=os.getpid())
        foreign = Foreign(*(set(spent.pids.values()) - {os.getpid()}))
        await calls.by_schedule(count, RATE)
        used = spent.seconds()
        cores = foreign.cores()
        delays = sorted(1000 * delay for delay in calls.delays)
        calls.delays.clear()
        await calls.at_once(WAITERS, HELD)
        calls.close()
    for what, often in calls.others.most_common(5):
        print(f"{often} times {what}", file=sys.stderr)
    return {
        "rate": RATE,
        "devices": DEVICES,
        "p50_ms": round(percentile(delays, 0.5), 1),
        "p99_ms": round(percentile(delays, 0.99), 1),
        "max_ms": round(delays[-1], 1),
        "calls": count,
        "waiters": WAITERS,
        "waiters_slowest_s": round(max(calls.delays, default=0.0) - HELD, 2),
        **{f"cpu_us_per_call_{name}": round(1e6 * cpu / count) for name, cpu in used.items()},
        "foreign_cpus": round(cores, 2),
        "errors": count - len(delays) + WAITERS - len(calls.delays),
    }
