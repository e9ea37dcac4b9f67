"""kill -9 of every service on the way of a message, five times each, at 5,000 messages per second."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults.scene import PATIENCE, Scene, published
from tests.support.polling import eventually

if TYPE_CHECKING:
    from bench.support.mqtt_load import Load
    from devstack.stack import Stack
    from fleet.audit import Audit

SERVICES = ("ingest", "presence", "timeseries")
KILLS = 5
COUNT = 100_000
"""So many that the load outlasts the five restarts."""


@pytest.mark.parametrize("service", SERVICES)
async def test_killed_five_times_nothing_is_lost_or_doubled_and_every_state_is_exact(
    stack: Stack, audit: Audit, service: str
) -> None:
    before = stack.restarts(service)

    def kill_again_and_again(load: Load) -> None:
        for turn in range(1, KILLS + 1):
            published(load, turn * COUNT // (KILLS + 1))
            eventually(lambda: stack.is_ready(service), PATIENCE, describe=f"{service} at work again")
            stack.kill(service, signal.SIGKILL)

    await Scene(stack, audit, COUNT, seconds=20).play(kill_again_and_again)
    assert stack.restarts(service) == before + KILLS
