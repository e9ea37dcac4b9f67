"""How fast ingest empties a full session, beside the plain loop on the same backlog, run by run.

Each run fills a persistent session with QoS 1 messages of 200 bytes from 1,000 devices while nobody reads it, freezes
mosquitto, starts the bridge, and takes time and CPU from the moment mosquitto goes on until Kafka holds every message:
the start of Python is not in the figures.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mqtt5
import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from bench.support.mqtt_load import Load
from devstack.environment import process_environment
from devstack.ports import HOST
from devstack.stack import Stack
from libs.topics import names

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = 1_000
PAYLOAD = 200
FILTER = "upload_data/#"
TICKS = os.sysconf("SC_CLK_TCK")
TIMEOUT = 120.0
"""Seconds for one backlog."""


class Uploaded(msgspec.Struct):
    """What the check reads of a `DataUploaded`."""

    product_id: str
    device_id: str
    payload: dict[str, Any]


class Bridge(msgspec.Struct, frozen=True):
    """A process to be measured; its session's name is also the product id of its messages."""

    client_id: str
    command: tuple[str, ...]
    environment: dict[str, str]


class Run(msgspec.Struct, frozen=True):
    """One drained backlog."""

    msgs_per_s: float
    cpu_us_per_msg: float
    rss_mb: float
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (60_000, 1) if quick else (300_000, 3)
    ours, plain = list[Run](), list[Run]()
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        _drain(stack, _ingest(stack, "warm"), min(count, 60_000))  # Kafka compiles its code on the first run
        for number in range(rounds):
            ours.append(_drain(stack, _ingest(stack, f"ingest-{number}"), count, check=True))
            plain.append(_drain(stack, _plain(stack, f"plain-{number}"), count))
    return {
        "msgs_per_s": round(statistics.median(r.msgs_per_s for r in ours)),
        "plain_loop_msgs_per_s": round(statistics.median(r.msgs_per_s for r in plain)),
        "lost": sum(r.lost for r in ours),
        "duplicated": sum(r.duplicated for r in ours),
        "reordered": sum(r.reordered for r in ours),
        "cpu_us_per_msg": round(statistics.median(r.cpu_us_per_msg for r in ours), 2),
        "plain_loop_cpu_us_per_msg": round(statistics.median(r.cpu_us_per_msg for r in plain), 2),
        "cpu_ratio_to_plain_loop": round(
            statistics.median(a.cpu_us_per_msg / b.cpu_us_per_msg for a, b in zip(ours, plain, strict=True)), 2
        ),
        "rss_mb": round(max(r.rss_mb for r in ours), 1),
        "messages": count,
        "rounds": rounds,
    }


def _ingest(stack: Stack, client_id: str) -> Bridge:
    told = stack.env("ingest") | {"FLEETLOG_CLIENT_ID": client_id, "FLEETLOG_OPS_PORT": "0"}
    return Bridge(f"{client_id}-0", (sys.executable, "-m", "services.ingest"), process_environment(told))


def _plain(stack: Stack, client_id: str) -> Bridge:
    arguments = (HOST, str(stack.mqtt_internal_port), client_id, FILTER, stack.kafka, names.DEVICE_TELEMETRY)
    return Bridge(client_id, (sys.executable, "-m", "bench.plain_bridge", *arguments), process_environment({}))


def _drain(stack: Stack, bridge: Bridge, count: int, *, check: bool = False) -> Run:
    product = bridge.client_id
    _session(stack, bridge.client_id, keep=True)
    with Load(stack.mqtt_internal_port, _messages(product, count)) as load:
        load.done(120)
    ends = Ends(stack.kafka)
    before = ends.read()
    broker = stack.pid("mosquitto")
    assert broker
    os.kill(broker, signal.SIGSTOP)
    with (stack.logs / "bench.log").open("ab") as log:
        process = subprocess.Popen(bridge.command, env=bridge.environment, stdout=log, stderr=log)
    try:
        idle = _idle_cpu(process.pid)  # it waits for its CONNACK now
        os.kill(broker, signal.SIGCONT)
        began = time.perf_counter()
        taken = _await_stored(ends, sum(before.values()) + count, began)
        cpu, rss = _cpu(process.pid) - idle, _rss(process.pid)
    finally:
        os.kill(broker, signal.SIGCONT)
        process.terminate()
        process.wait(30)
        _session(stack, bridge.client_id, keep=False)
    faults = _verify(stack.kafka, before, product, count) if check else (0, 0, 0)
    return Run(count / taken, cpu / count * 1e6, rss / 1e6, *faults)


def _messages(product: str, count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        payload = b'{"n":%d,"pad":"' % (number // DEVICES)
        yield f"upload_data/{product}/d{number % DEVICES}/t/m{number}", payload.ljust(PAYLOAD - 2, b"x") + b'"}'


def _session(stack: Stack, client_id: str, *, keep: bool) -> None:
    """Makes the persistent session that the bridge will resume, or removes it."""
    expiry = 3600 if keep else 0
    connect = mqtt5.ConnectPacket(client_id, clean_start=True, session_expiry_interval=expiry)
    filters = [mqtt5.TopicFilter(FILTER, max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
    with socket.create_connection((HOST, stack.mqtt_internal_port), timeout=30) as connection:
        connection.sendall(connect.write())
        connection.recv(100)
        if keep:
            connection.sendall(mqtt5.SubscribePacket(1, filters).write())
            connection.recv(100)


class Ends:
    """End offsets of the telemetry topic."""

    def __init__(self, kafka: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka})
        numbers = self._admin.list_topics(names.DEVICE_TELEMETRY, timeout=10).topics[names.DEVICE_TELEMETRY].partitions
        self._asked = {TopicPartition(names.DEVICE_TELEMETRY, number): OffsetSpec.latest() for number in numbers}

    def read(self) -> dict[int, int]:
        answers = self._admin.list_offsets(self._asked, request_timeout=10)
        return {at.partition: answer.result().offset for at, answer in answers.items()}


def _await_stored(ends: Ends, total: int, began: float) -> float:
    """Seconds until the topic holds ``total`` records."""
    pause = threading.Event()
    while sum(ends.read().values()) < total:
        if time.perf_counter() - began > TIMEOUT:
            raise TimeoutError(f"the backlog is not drained within {TIMEOUT:g} s")
        pause.wait(0.02)
    return time.perf_counter() - began


def _verify(kafka: str, before: dict[int, int], product: str, count: int) -> tuple[int, int, int]:
    """(lost, duplicated, reordered) among what the run wrote; each device's numbers count from 0."""
    seen: dict[str, list[int]] = {}
    for value in _values(kafka, before):
        message = msgspec.json.decode(value, type=Uploaded)
        if message.product_id == product:
            seen.setdefault(message.device_id, []).append(message.payload["n"])
    different = sum(len(set(numbers)) for numbers in seen.values())
    total = sum(map(len, seen.values()))
    reordered = sum(b < a for numbers in seen.values() for a, b in itertools.pairwise(numbers))
    return count - different, total - different, reordered


def _values(kafka: str, start: dict[int, int]) -> Iterator[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "bench", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    try:
        consumer.assign([TopicPartition(names.DEVICE_TELEMETRY, number, at) for number, at in start.items()])
        unread = set(start)
        while unread:
            for message in consumer.consume(5000, 0.2):
                if message.error() is None:
                    yield message.value()
                elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (librdkafka's public code)
                    unread.discard(message.partition())
    finally:
        consumer.close()


def _cpu(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss(pid: int) -> int:
    """Most memory ever resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _idle_cpu(pid: int) -> float:
    """CPU seconds used once the process has nothing more to do for half a second."""
    pause, last, still = threading.Event(), -1.0, 0
    while still < 5 or last < 0.1:
        pause.wait(0.1)
        now = _cpu(pid)
        still = still + 1 if now - last < 0.011 else 0
        last = now
    return last
