"""How fast ingest empties a full session, beside the plain loop on the same backlog, run by run.

Each run fills a persistent session with QoS 1 messages of 200 bytes from 1,000 devices while nobody reads it, freezes
mosquitto, starts the bridge, and takes time and CPU from the moment mosquitto goes on until Kafka holds every message:
the start of Python is not in the figures.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.support import bridges
from bench.support.mqtt_load import Load
from bench.support.process import cpu_seconds, peak_rss_mb
from bench.support.uplink import Faults, Stored, messages
from devstack.stack import Stack

if TYPE_CHECKING:
    from bench.support.bridges import Bridge


class Run(msgspec.Struct, frozen=True):
    """One drained backlog."""

    msgs_per_s: float
    cpu_us_per_msg: float
    rss_mb: float
    faults: Faults | None


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (60_000, 1) if quick else (300_000, 3)
    ours, plain = list[Run](), list[Run]()
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        _drain(stack, bridges.ingest(stack, "warm"), 30_000 if quick else 100_000)  # Kafka compiles on the first run
        for number in range(rounds):
            ours.append(_drain(stack, bridges.ingest(stack, f"ingest-{number}"), count, check=True))
            plain.append(_drain(stack, bridges.plain(stack, f"plain-{number}"), count))
    faults = [one.faults for one in ours if one.faults]
    return {
        "msgs_per_s": round(statistics.median(r.msgs_per_s for r in ours)),
        "plain_loop_msgs_per_s": round(statistics.median(r.msgs_per_s for r in plain)),
        "lost": sum(found.lost for found in faults),
        "duplicated": sum(found.duplicated for found in faults),
        "reordered": sum(found.reordered for found in faults),
        "cpu_us_per_msg": round(statistics.median(r.cpu_us_per_msg for r in ours), 2),
        "plain_loop_cpu_us_per_msg": round(statistics.median(r.cpu_us_per_msg for r in plain), 2),
        "cpu_ratio_to_plain_loop": round(
            statistics.median(a.cpu_us_per_msg / b.cpu_us_per_msg for a, b in zip(ours, plain, strict=True)), 2
        ),
        "rss_mb": round(max(r.rss_mb for r in ours), 1),
        "messages": count,
        "rounds": rounds,
    }


def _drain(stack: Stack, bridge: Bridge, count: int, *, check: bool = False) -> Run:
    stored = Stored(stack.kafka)
    with bridge:
        bridge.keep_session()
        with Load(stack.mqtt_internal_port, messages(bridge.name, count)) as load:
            load.done(120)
        before = stored.ends()
        broker = stack.pid("mosquitto")
        assert broker
        os.kill(broker, signal.SIGSTOP)
        try:
            bridge.start()
            idle = bridge.await_idle()  # it waits for its CONNACK now
        finally:
            os.kill(broker, signal.SIGCONT)
        taken = stored.wait(sum(before.values()) + count)
        cpu, rss = cpu_seconds(bridge.pid) - idle, peak_rss_mb(bridge.pid)
    faults = stored.faults(before, bridge.name, count) if check else None
    return Run(count / taken, cpu / count * 1e6, rss, faults)
