"""A reconnect storm: more connections than a process has files by default are cut at once, and all of them return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.ports import HOST
from fleet import dataset, descriptors
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import CROWD
from fleet.storm import storm
from tests.support.names import unique

if TYPE_CHECKING:
    from devstack.stack import Stack
    from fleet.audit import Audit

DEVICES, VICTIMS = 1_500, 1_350
WITHIN = 1_500
"""Milliseconds in which the victims return: as dense as 9,000 in 10 s."""
PATIENCE = 90.0


async def test_every_cut_and_every_return_of_a_storm_is_in_presence_and_no_message_is_lost(
    stack: Stack, audit: Audit
) -> None:
    assert DEVICES >= CROWD
    descriptors.allow(DEVICES)
    scripts = storm(11, DEVICES, VICTIMS, within=WITHIN, rate=0.2, prefix=unique("storm"))
    async with Fleet(scripts, Endpoint(HOST, stack.mqtt_port), unique("run"), dataset.load()) as fleet:
        await fleet.play()
        verdict = await audit.settle(fleet.truth, PATIENCE)
        assert fleet.truth.online() == verdict.hub_online == DEVICES

    assert verdict.findings == [], verdict.findings
    assert verdict.causes == {"connected": DEVICES + VICTIMS, "connection_lost": VICTIMS}
    assert fleet.truth.endings("lost") == 0
