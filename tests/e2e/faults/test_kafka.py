"""Kafka stands still, or is killed, under load. With LONG_FAULTS=1 it stands still for 60 s."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from services.ingest.settings import IngestSettings
from tests.e2e.faults.scene import PATIENCE, Scene, published
from tests.support.polling import eventually
from tests.support.uplink import metrics

if TYPE_CHECKING:
    from bench.support.mqtt_load import Load
    from devstack.stack import Stack
    from fleet.audit import Audit

STANDSTILL = 60.0 if os.environ.get("LONG_FAULTS") == "1" else 10.0
"""Seconds."""
LOG_LINES = 20.0
"""Seconds after which mosquitto drops its log lines, and with them who came and went (docs/brokers.md)."""
ONE_READ = 2_000
"""Messages that one read from the socket may bring on top of the window."""
GROWTH = 150
"""MB that ingest may grow by: its window, librdkafka's queue and what Python keeps."""


def resident(pid: int | None) -> int:
    """MB of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


async def test_while_kafka_stands_still_ingest_holds_on_within_its_window(stack: Stack, audit: Audit) -> None:
    before, ingest = metrics(stack), stack.pid("ingest")
    memory = resident(ingest)

    def stand_still(load: Load) -> None:
        published(load, 15_000)
        stack.kill("kafka", signal.SIGSTOP)
        try:
            threading.Event().wait(STANDSTILL)
            during = metrics(stack)
            grown = resident(ingest) - memory
        finally:
            stack.kill("kafka", signal.SIGCONT)
        assert 0 < during["ingest_in_flight"] <= IngestSettings().window + ONE_READ
        assert during["ingest_connections_total"] == before["ingest_connections_total"]
        assert grown < GROWTH

    await Scene(stack, audit, 50_000, seconds=15, restless=STANDSTILL < LOG_LINES).play(stand_still)
    assert stack.pid("ingest") == ingest
    assert metrics(stack)["ingest_connections_total"] == before["ingest_connections_total"]


async def test_kafka_killed_under_load_loses_nothing_that_it_had_acknowledged(stack: Stack, audit: Audit) -> None:
    ingest = stack.pid("ingest")

    def kill(load: Load) -> None:
        published(load, 10_000)
        before = stack.pid("kafka")
        stack.kill("kafka", signal.SIGKILL)
        eventually(lambda: stack.pid("kafka") not in {None, before}, describe="Kafka started again")
        eventually(lambda: stack.is_ready("kafka"), PATIENCE, describe="Kafka ready again")

    await Scene(stack, audit, 40_000, seconds=15).play(kill)
    assert stack.pid("ingest") == ingest
