"""How fast ingest is while devices send: at full speed beside the plain loop, and its delay at a steady rate.

At full speed a publisher sends QoS 1 as fast as mosquitto acknowledges, and the clock runs until Kafka holds every
message. The delay is taken on the same stack, warm by then: from the moment at which a device's message was due to the
moment at which Kafka appends the record, by Kafka's own clock (``LogAppendTime``), rounded up to milliseconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from bench.support import bridges
from bench.support.mqtt_load import Load
from bench.support.paced import Paced, percentile
from bench.support.process import Foreign, cpu_seconds
from bench.support.uplink import DEVICES, PAYLOAD, Faults, Stored, Uploaded, faults_of, messages
from devstack.stack import Stack
from libs.runtime.kafka import QUIET
from libs.topics import names

if TYPE_CHECKING:
    from bench.support.bridges import Bridge

RATE = 5_000
"""Messages per second of the steady load."""


class Run(msgspec.Struct, frozen=True):
    """One load at full speed."""

    msgs_per_s: float
    cpu_us_per_msg: float
    faults: Faults | None


class Delay(msgspec.Struct, frozen=True):
    rate: float
    p50_ms: float
    p99_ms: float
    foreign_cpus: float
    faults: Faults


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (30_000, 1) if quick else (200_000, 3)
    warm_up, seconds = (2, 5) if quick else (8, 20)
    ours, plain = list[Run](), list[Run]()
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        _full_speed(stack, bridges.ingest(stack, "warm"), 30_000 if quick else 100_000)
        for number in range(rounds):
            ours.append(_full_speed(stack, bridges.ingest(stack, f"ingest-{number}"), count, check=True))
            plain.append(_full_speed(stack, bridges.plain(stack, f"plain-{number}"), count))
        _tell_append_time(stack)
        delay = _delay(stack, bridges.ingest(stack, "paced"), warm_up, seconds)
    faults = [delay.faults, *(one.faults for one in ours if one.faults)]
    return {
        "msgs_per_s": round(statistics.median(one.msgs_per_s for one in ours)),
        "plain_loop_msgs_per_s": round(statistics.median(one.msgs_per_s for one in plain)),
        "ratio_to_plain_loop": round(
            statistics.median(a.msgs_per_s / b.msgs_per_s for a, b in zip(ours, plain, strict=True)), 2
        ),
        "paced_p50_ms": round(delay.p50_ms, 1),
        "paced_p99_ms": round(delay.p99_ms, 1),
        "lost": sum(found.lost for found in faults),
        "duplicated": sum(found.duplicated for found in faults),
        "reordered": sum(found.reordered for found in faults),
        "cpu_us_per_msg": round(statistics.median(one.cpu_us_per_msg for one in ours), 2),
        "plain_loop_cpu_us_per_msg": round(statistics.median(one.cpu_us_per_msg for one in plain), 2),
        "paced_rate": round(delay.rate),
        "paced_foreign_cpus": round(delay.foreign_cpus, 2),
        "messages": count,
        "rounds": rounds,
    }


def _full_speed(stack: Stack, bridge: Bridge, count: int, *, check: bool = False) -> Run:
    stored = Stored(stack.kafka)
    with bridge:
        bridge.keep_session()
        bridge.start()
        idle, before = bridge.await_idle(), stored.ends()
        began = time.perf_counter()
        with Load(stack.mqtt_internal_port, messages(bridge.name, count)) as load:
            stored.wait(sum(before.values()) + count)
            taken = time.perf_counter() - began
            load.done()
        cpu = cpu_seconds(bridge.pid) - idle
    faults = stored.faults(before, bridge.name, count) if check else None
    return Run(count / taken, cpu / count * 1e6, faults)


def _tell_append_time(stack: Stack) -> None:
    """From now on the records' time is that of Kafka's log, not that of the producer."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, names.DEVICE_TELEMETRY, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": stack.kafka, **QUIET})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(10)


def _delay(stack: Stack, bridge: Bridge, warm_up: int, seconds: int) -> Delay:
    def message(number: int, now: int) -> tuple[str, bytes]:
        payload = b'{"n":%d,"sent":%d,"pad":"' % (number, now)
        return f"upload_data/{bridge.name}/d{number % DEVICES}/t/m{number}", payload.ljust(PAYLOAD - 2, b"x") + b'"}'

    stored, count = Stored(stack.kafka), RATE * (warm_up + seconds)
    programs = [pid for name in ("kafka", "mosquitto", "clickhouse") if (pid := stack.pid(name))]
    with bridge:
        bridge.keep_session()
        bridge.start()
        bridge.await_idle()
        before, foreign = stored.ends(), Foreign(bridge.pid, *programs)
        rate = Paced(stack.mqtt_internal_port, message, RATE, count).run()
        stored.wait(sum(before.values()) + count)
        others = foreign.cores()
    delays = list[float]()
    seen: dict[str, list[int]] = {}
    for record in stored.since(before):
        told = msgspec.json.decode(record.value(), type=Uploaded)
        number = told.payload["n"]
        seen.setdefault(told.device_id, []).append(number)
        if number >= RATE * warm_up:
            delays.append(record.timestamp()[1] + 1 - told.payload["sent"] / 1000)
    delays.sort()
    return Delay(rate, percentile(delays, 0.5), percentile(delays, 0.99), others, faults_of(seen, count))
