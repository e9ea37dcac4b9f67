"""Processes that drain an inbox, timed by what comes out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.support.process import busy_seconds, cpu_seconds, rss_mb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.support.kafka import Cluster

CHECKOUT = Path(__file__).parents[2]
POLL = 0.02
TIMEOUT = 120.0
"""Seconds for one run."""


class Drain(msgspec.Struct, frozen=True):
    """One run, between 5 % and 95 % of its outputs."""

    rate: float
    """Events per second."""
    cpu_us: float
    """User and system time of the process per event, in microseconds."""
    rss_mb: int
    """Resident memory at the end."""
    foreign_cpus: float
    """Cores that everything else used meanwhile: Kafka, the measuring process, other programs."""


class App:
    """One of `bench.lane_apps` as a process, under a name of its own."""

    def __init__(self, cluster: Cluster, program: str, inbox: str, variables: Mapping[str, str] | None = None) -> None:
        """``variables``: of the environment, besides names and Kafka."""
        self.cluster, self.program = cluster, program
        self.variables = dict(variables or {})
        self.name = f"{program.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
        self._inbox = inbox
        self._process: subprocess.Popen[bytes] | None = None
        with tempfile.NamedTemporaryFile(prefix=f"{self.name}-", suffix=".log", delete=False) as log:
            self._log = Path(log.name)

    def start(self) -> None:
        variables = {
            "FLEETLOG_APP": self.name,
            "FLEETLOG_INBOX": self._inbox,
            "FLEETLOG_KAFKA_BOOTSTRAP": self.cluster.settings.bootstrap,
            "FLEETLOG_KAFKA_PARTITIONS": str(self.cluster.settings.partitions),
            **self.variables,
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"bench.lane_apps.{self.program}"],
                cwd=CHECKOUT,
                env=own | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Raises RuntimeError, with the end of its log, when the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} does not run: {self._log.read_text()[-2000:]}")
        return self._process.pid

    def await_log(self, event: str) -> dict[str, Any]:
        """Wait for a log record; returns its fields. Raises TimeoutError or as `pid`."""
        deadline, pause = time.monotonic() + TIMEOUT, threading.Event()
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                if f'"{event}"' in line:
                    fields: dict[str, Any] = msgspec.json.decode(line)
                    return fields
            if self.pid:
                pause.wait(POLL)
        raise TimeoutError(f"{self.name} never said: {event}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.unlink(missing_ok=True)


class Sample(msgspec.Struct, frozen=True):
    time: float
    events: int
    cpu: float
    busy: float


def drain(app: App, output: str, events: int, before: int = 0) -> Drain:
    """Start the app and wait until ``output`` has one record for each of ``events``. Raises TimeoutError.

    ``before``: records that come before these, and are not measured.
    """
    count = app.cluster.counter(output)
    samples: list[Sample] = []
    pause, deadline = threading.Event(), time.monotonic() + TIMEOUT
    app.start()
    try:
        while not samples or samples[-1].events < events:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{app.name}: {samples[-1].events} of {events} outputs")
            samples.append(Sample(time.monotonic(), count() - before, cpu_seconds(app.pid), busy_seconds()))
            pause.wait(POLL)
        memory = rss_mb(app.pid)
    finally:
        count.close()
    first = next(one for one in samples if one.events >= 0.05 * events)
    last = next(one for one in samples if one.events >= 0.95 * events)
    done, seconds, cpu = last.events - first.events, last.time - first.time, last.cpu - first.cpu
    if done <= 0:
        raise RuntimeError(f"{app.name}: {events} events are too few to measure")
    return Drain(done / seconds, 1e6 * cpu / done, memory, (last.busy - first.busy - cpu) / seconds)
