"""One command to a tag: until all devices that are online have it, and whether all is counted as it must be.

The tag has as many members online as offline. Those that are online are connected, all in one process, and reply at
once; ``online_reached_s`` is from the moment of the call to the last one's receipt, of which the median is reported.
``mismatched`` counts devices that got other than one command each, and every difference between what is told of a
fan-out and what must be: when it begins, and when all have replied. Commands for those that are offline wait, which
the fan-outs after the first one find there.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from bench.support.command_hub import PRODUCT, Spent, with_hub
from bench.support.fleets import PATIENCE, RETRY, Crowds, register
from bench.support.process import Foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack import api_key
    from devstack.stack import Stack

TAG: Final = "all"
REST: Final = 2.0
"""Seconds in which a command too many would come."""


class Size(msgspec.Struct, frozen=True):
    each: int
    """Members online, and as many offline."""
    fanouts: int


QUICK = Size(each=1_000, fanouts=2)
FULL = Size(each=5_000, fanouts=5)


def run(quick: bool) -> dict[str, Any]:
    size = QUICK if quick else FULL
    return with_hub(partial(_measure, size))


async def _measure(size: Size, stack: Stack, access: api_key.Access) -> dict[str, Any]:
    await register(access, PRODUCT, 2 * size.each, tags=[TAG])
    headers = {"Authorization": f"Bearer {access.key}"}
    async with (
        Crowds(stack.mqtt_port, PRODUCT, size.each) as crowds,
        httpx.AsyncClient(base_url=access.url, headers=headers, timeout=PATIENCE) as client,
    ):
        spent = Spent(stack, devices=crowds.pid)
        foreign = Foreign(*spent.pids.values())
        rounds = [await _fan_out(client, crowds, size.each) for _ in range(size.fanouts)]
        used = spent.seconds()
        cores = foreign.cores()
    members = size.fanouts * 2 * size.each
    return {
        "members": 2 * size.each,
        "online": size.each,
        "fanouts": size.fanouts,
        "online_reached_s": round(statistics.median(one.reached for one in rounds), 2),
        "online_reached_max_s": round(max(one.reached for one in rounds), 2),
        "begun_s": round(statistics.median(one.begun for one in rounds), 2),
        "replied_s": round(statistics.median(one.replied for one in rounds), 2),
        **{f"cpu_us_per_member_{name}": round(1e6 * spent / members) for name, spent in used.items()},
        "foreign_cpus": round(cores, 2),
        "mismatched": sum(one.wrong for one in rounds),
    }


class Round(msgspec.Struct, frozen=True):
    begun: float
    """Seconds until the call was answered."""
    reached: float
    replied: float
    """Until the replies were all counted."""
    wrong: int


async def _fan_out(client: httpx.AsyncClient, crowds: Crowds, each: int) -> Round:
    """Raises TimeoutError, RuntimeError."""
    had, began = crowds.got, time.monotonic()
    order = {"name": "switch", "payload": {"relay": 2, "on": True}}
    answer = await client.post(f"/v1/products/{PRODUCT}/tags/{TAG}/commands", json=order)
    begun = time.monotonic()
    if answer.status_code != httpx.codes.ACCEPTED:
        raise RuntimeError(f"the fan-out was not begun: {answer.status_code} {answer.text}")
    found = answer.json()
    wrong = _differences(found, members=2 * each, accepted=each, queued=each, refused=0, rejected=0)
    await _until(lambda: crowds.got >= had + each)
    async with asyncio.timeout(PATIENCE):
        while (told := await _told(client, found["fanout_id"]))["replied"] < each:  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(RETRY)
    replied = time.monotonic()
    await asyncio.sleep(REST)
    wrong += _differences(told, members=2 * each, replied=each, queued=each, open=each, refused=0)
    wrong += abs(crowds.got - had - each)
    return Round(begun - began, crowds.last - began, replied - began, wrong)


async def _told(client: httpx.AsyncClient, fanout_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/fanouts/{fanout_id}")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _differences(found: dict[str, Any], **wanted: int) -> int:
    return sum(abs(found[name] - number) for name, number in wanted.items())


async def _until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not there():  # noqa: ASYNC110 - another process says so, line by line
            await asyncio.sleep(RETRY)
