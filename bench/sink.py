"""How fast Kafka's events become rows in ClickHouse, beside a plain loop that promises nothing, run by run.

Every event has five metrics and so gives six rows in three tables. Each run reads the same backlog into a database of
its own; time and CPU are taken between 5 % and 95 % of its events, so that the start of Python is not in the figures.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.support.kafka import Cluster
from bench.support.process import busy_seconds, cpu_seconds
from devstack.environment import process_environment
from devstack.stack import CHECKOUT, Stack
from libs.runtime.clickhouse import connect, migrate
from libs.runtime.settings import ClickHouseSettings
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.telemetry import DataUploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

DEVICES = 1_000
ROWS = 6
"""Of one event: the raw event, four numbers, one text."""
PARTITIONS = 4
POLL = 0.05
TIMEOUT = 120.0
MIGRATIONS = CHECKOUT / "services/timeseries/migrations"


class Run(msgspec.Struct, frozen=True):
    """One drained backlog."""

    events_per_s: float
    cpu_us_per_event: float
    foreign_cpus: float
    """Cores that everything else used meanwhile: Kafka, ClickHouse, other programs."""
    lost: int
    duplicated: int


class Sample(msgspec.Struct, frozen=True):
    time: float
    events: int
    cpu: float
    busy: float


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (100_000, 2) if quick else (400_000, 5)
    ours, naive = list[Run](), list[Run]()
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=(), partitions=PARTITIONS) as stack,
    ):
        stack.create_topics()
        Cluster(stack.kafka, PARTITIONS).write(names.DEVICE_TELEMETRY, _events(count))
        for _ in range(rounds):
            ours.append(_drain(stack, "ours", count))
            naive.append(_drain(stack, "naive", count))
    rate = statistics.median(one.events_per_s for one in ours)
    return {
        "rows_per_s": round(rate * ROWS),
        "events_per_s": round(rate),
        "naive_loop_events_per_s": round(statistics.median(one.events_per_s for one in naive)),
        "ratio_to_naive_loop": round(
            statistics.median(a.events_per_s / b.events_per_s for a, b in zip(ours, naive, strict=True)), 2
        ),
        "lost": sum(one.lost for one in ours),
        "duplicated": sum(one.duplicated for one in ours),
        "cpu_us_per_row": round(statistics.median(one.cpu_us_per_event for one in ours) / ROWS, 2),
        "naive_loop_cpu_us_per_row": round(statistics.median(one.cpu_us_per_event for one in naive) / ROWS, 2),
        "foreign_cpus": round(statistics.median(one.foreign_cpus for one in ours), 2),
        "events": count,
        "rounds": rounds,
    }


def _events(count: int) -> Iterator[tuple[bytes, bytes]]:
    now = int(time.time() * 1000)
    for n in range(count):
        payload = b'{"temperature":%d.5,"humidity":%d,"wind":3.25,"ok":true,"status":"fine"}' % (n % 40, n % 100)
        device = f"d{n % DEVICES}"
        event = DataUploaded("bench", device, "weather", f"m{n}", n % 60_000, "json", msgspec.Raw(payload), now)
        yield f"bench/{device}".encode(), encode(event)


def _drain(stack: Stack, kind: str, count: int) -> Run:
    name = f"{kind}_{uuid.uuid4().hex[:8]}"
    settings = ClickHouseSettings(url=stack.clickhouse_url, database=name)
    with connect(settings, "bench") as client:
        migrate(client, "timeseries", MIGRATIONS)
        if kind == "ours":
            told = {"FLEETLOG_CLICKHOUSE_DATABASE": name, "FLEETLOG_GROUP": name, "FLEETLOG_OPS_PORT": "0"}
            command, environment = ["-m", "services.timeseries"], stack.env("timeseries") | told
        else:
            command, environment = ["-m", "bench.naive_sink", stack.kafka, name, stack.clickhouse_url, name], {}
        with (stack.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=CHECKOUT, env=process_environment(environment), stdout=log, stderr=log
            )
        try:
            samples = _watch(client, process, count)
        finally:
            process.terminate()
            process.wait(30)
        first = next(one for one in samples if one.events >= 0.05 * count)
        last = next(one for one in samples if one.events >= 0.95 * count)
        done, seconds, cpu = last.events - first.events, last.time - first.time, last.cpu - first.cpu
        foreign = (last.busy - first.busy - cpu) / seconds
        found = Run(done / seconds, 1e6 * cpu / done, foreign, *_verify(client, count))
        client.command(f"DROP DATABASE {name}")
        return found


def _watch(client: Client, process: subprocess.Popen[bytes], count: int) -> list[Sample]:
    """Sample until all events have all their rows. Raises `ChildProcessError` where the process ends before."""
    samples: list[Sample] = []
    pause, deadline = threading.Event(), time.monotonic() + TIMEOUT
    while not samples or samples[-1].events < count or _count(client, "metric_strings") < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{samples[-1].events} of {count} events after {TIMEOUT:g} s")
        if process.poll() is not None:
            raise ChildProcessError(f"the sink ended with status {process.returncode}")
        samples.append(Sample(time.monotonic(), _count(client, "raw_events"), cpu_seconds(process.pid), busy_seconds()))
        pause.wait(POLL)
    return samples


def _count(client: Client, table: str) -> int:
    return int(client.query("SELECT count() FROM {table:Identifier}", {"table": table}).result_rows[0][0])


def _verify(client: Client, count: int) -> tuple[int, int]:
    """(lost, duplicated), in events over all three tables."""
    lost = duplicated = 0
    for table, each in (("raw_events", 1), ("metrics", 4), ("metric_strings", 1)):
        [(rows, events)] = client.query(
            "SELECT count(), uniqExact(partition, offset) FROM {table:Identifier}", {"table": table}
        ).result_rows
        lost += count - events
        duplicated += rows // each - events
    return lost, duplicated
