"""The simulator on a real broker: what its truth says is what the broker saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from devstack.ports import HOST, free_port
from fleet import dataset
from fleet.device import CannotConnect
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import Connect, Script, Send, plan
from tests.support.devices import publish, subscribed
from tests.support.names import unique

if TYPE_CHECKING:
    from devstack.stack import Stack

SPOKEN = {
    "New client connected": "opened",
    "already connected": "taken over",
    "closed its connection": "lost",
    # both where PUBACK met a connection that had been reset; memory is not short then
    "Bad socket read/write": "lost",
    "disconnected due to out of memory": "lost",
}
"""What mosquitto's log says of the end of a connection, and what it means."""


async def test_the_broker_saw_every_connection_and_message_that_the_truth_knows(brokers: Stack) -> None:
    prefix, end = unique("fleet"), unique("end")
    scripts = plan(5, 20, 6, rate=5, prefix=prefix)
    with subscribed(brokers.mqtt_internal_port, ["upload_data/#", "$SYS/broker/log/#", end]) as inbox:
        async with Fleet(scripts, Endpoint(HOST, brokers.mqtt_port), "run", dataset.load()) as fleet:
            await fleet.play()
            assert fleet.truth.online() > 0
        publish(brokers.mqtt_internal_port, None, [(end, b"")])
        seen = inbox.until(end)

    truth, expected = fleet.truth, fleet.truth.count_causes()
    log = [m.payload.decode() for m in seen if m.topic.startswith("$SYS") and prefix.encode() in m.payload]
    counts = Counter(meaning for line in log for words, meaning in SPOKEN.items() if words in line)
    assert truth.online() == 0
    assert counts["opened"] == expected["connected"] + expected["taken_over"]
    assert counts["taken over"] == expected["taken_over"] == 1
    assert counts["lost"] == expected["connection_lost"] > 0
    assert truth.endings("lost") == 0

    uploads = {m.topic.rpartition("/")[2]: m.payload for m in seen if m.topic.startswith(f"upload_data/{prefix}")}
    assert uploads.keys() <= truth.sent.keys()
    for message in truth.sent.values():
        if message.kind in {"weather", "frame"} and message.acknowledged_at is not None:
            assert uploads[message.message_id] == message.payload


async def test_its_devices_answer_commands_and_probes(brokers: Stack) -> None:
    product = unique("asked")
    script = Script(product, "d", "steady", 5, 0, (Connect(0), Send(100, "weather")))
    endpoint, name = Endpoint(HOST, brokers.mqtt_port), f"{product}/d"
    asked = [
        (f"cmd/{name}/$set_tags/plain/t1", b"{}"),
        (f"cmd/{name}/unlock/plain/r1/9999999999", b"open"),
        (f"rpc/{name}/read/plain/r2/9999999999", b""),
        (f"/sys/{name}/rrpc/request/m1", b"{}"),
    ]
    with subscribed(brokers.mqtt_internal_port, ["cmd_resp/#", "rpc_resp/#", "/sys/+/+/rrpc/response/+"]) as inbox:
        async with Fleet([script], endpoint, "run", dataset.load()) as fleet:
            await fleet.play()  # acknowledged is what came after the subscription
            await asyncio.to_thread(publish, brokers.mqtt_internal_port, None, asked)
            heard = await asyncio.to_thread(inbox.until, f"/sys/{name}/rrpc/response/m1")
    assert [(message.topic, message.payload) for message in heard] == [
        (f"cmd_resp/{name}/unlock/r1/r1", b"open"),
        (f"rpc_resp/{name}/read/r2/r2", b""),
        (f"/sys/{name}/rrpc/response/m1", b"{}"),
    ]


async def test_without_a_broker_the_run_is_given_up_with_one_clear_error() -> None:
    scripts = plan(1, 1, 5)
    fleet = Fleet(scripts, Endpoint(HOST, free_port()), "run", dataset.load())
    with pytest.raises(CannotConnect, match="airport/station-000 cannot connect to 127"):
        async with fleet:
            await fleet.play()
