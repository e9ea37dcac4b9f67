"""The shadow service: changes per second, API patch to device, and restarts with all documents.

`changes_per_s` are changes by applications, each with an event, a document and, in the end, a changelog record per
changed row; `reports_per_s` are reports of devices in the native form, each answered besides. One process, whose
machine has Kafka on it too; rates are taken between 5 % and 95 % of the documents.

Recovery counts from the assignment of the partitions until all rows can be found by tag, product and deadline:
`recovery_cold_s` from the changelog into memory, `recovery_warm_s` from disk, after a `kill -9`; both for `documents`
devices. Afterwards a patch by tag must find exactly its devices. `start_*_s` count from the start of the process.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from bench.lane_apps.shadow_lane import TABLE
from bench.support import shadow_live, shadows
from bench.support.kafka import Cluster
from bench.support.process import rss_mb
from bench.support.runs import App, Drain, drain
from devstack.stack import Stack
from libs.runtime.kafka import KEYED, client_config
from libs.topics import names

PARTITIONS = 4
DEVICES = 20_000
POLL = 0.1
PATIENCE = 60.0


class Size(msgspec.Struct, frozen=True):
    repetitions: int
    changes: int
    documents: int
    live_seconds: float


QUICK = Size(repetitions=1, changes=60_000, documents=100_000, live_seconds=5)
FULL = Size(repetitions=3, changes=400_000, documents=1_000_000, live_seconds=30)


def run(quick: bool) -> dict[str, Any]:
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        cluster = Cluster(stack.kafka, PARTITIONS)
        found = _rates(cluster, size) | _recovery(cluster, size.documents, Path(state) / "rows")
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state:
        live = shadow_live.measure(Path(state), size.live_seconds)
    wrong = sum(part.pop("mismatched") for part in (found, live))
    return {**found, **live, "mismatched": wrong}


def _rates(cluster: Cluster, size: Size) -> dict[str, Any]:
    figures: dict[str, Any] = {"mismatched": 0}
    for inbox, reported in (("changes", False), ("reports", True)):
        work = shadows.Work(inbox, DEVICES, size.changes, reported)
        cluster.create({inbox: {}})
        cluster.write(inbox, work.records())
        runs: list[Drain] = []
        for _ in range(size.repetitions):
            app = App(cluster, "shadow_lane", inbox)
            cluster.create(shadows.topics(app.name))
            try:
                runs.append(drain(app, names.SHADOW_DOCUMENTS, size.changes))
                cluster.await_rest(names.changelog(app.name, TABLE))  # rows follow their documents
                figures["mismatched"] += work.mismatches(cluster, app.name)
            finally:
                app.kill()
                cluster.drop(shadows.topics(app.name))
        cluster.drop([inbox])
        figures |= {
            f"{inbox}_per_s": round(statistics.median(one.rate for one in runs)),
            f"cpu_us_per_{inbox[:-1]}": round(statistics.median(one.cpu_us for one in runs), 1),
            f"foreign_cpus_{inbox}": round(statistics.median(one.foreign_cpus for one in runs), 2),
        }
    return figures


def _recovery(cluster: Cluster, rows: int, directory: Path) -> dict[str, Any]:
    """Start on a changelog three times: rows in memory; rows on disk, of which there are none; the same once more."""
    app = App(cluster, "shadow_lane", "asked", {"FLEETLOG_LANE_INSTANCE_ID": "bench"})
    changelog = names.changelog(app.name, TABLE)
    cluster.create({"asked": {}, **shadows.topics(app.name)})
    on_disk = {"FLEETLOG_LANE_STORE": "rocksdb://", "FLEETLOG_LANE_DATA_DIR": str(directory)}
    try:
        cluster.write(changelog, shadows.frames(rows))
        cold = _start(app, {})
        memory = rss_mb(app.pid)
        app.kill()
        cold_to_disk = _start(app, on_disk)
        app.kill()
        warm = _start(app, on_disk)
        found = _patched(cluster)
    finally:
        app.kill()
        cluster.drop(["asked", *shadows.topics(app.name)])
    if warm["records"] or cold["records"] != rows or cold_to_disk["records"] != rows:
        raise RuntimeError(f"{rows} rows were to be recovered: {cold}, {cold_to_disk}, {warm}")
    return {
        "documents": rows,
        "recovery_cold_s": cold["seconds"],
        "recovery_cold_disk_s": cold_to_disk["seconds"],
        "recovery_warm_s": warm["seconds"],
        "start_cold_s": cold["whole"],
        "start_warm_s": warm["whole"],
        "rss_mb": memory,
        "mismatched": abs(found - shadows.tagged(rows)),
    }


def _start(app: App, variables: dict[str, str]) -> dict[str, Any]:
    app.variables |= variables
    begun = time.monotonic()
    app.start()
    said = app.await_log("rows are recovered")
    return {**said, "whole": round(time.monotonic() - begun, 3)}


def _patched(cluster: Cluster) -> int:
    """Count the devices that are found by a tag. Raises TimeoutError."""
    producer = Producer(client_config(cluster.settings, **KEYED))
    for number in range(PARTITIONS):
        key, value = shadows.patch(number)
        producer.produce("asked", value, key, partition=number)
    producer.flush(PATIENCE)
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    while len(said := shadows.patched(one.value() for one in cluster.read(names.SHADOW_EVENTS))) < PARTITIONS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(said)} of {PARTITIONS} partitions say what came of a patch by tag")
        pause.wait(POLL)
    if any(one.changed != one.matched for one in said.values()):
        raise RuntimeError(f"a patch by tag was refused: {said}")
    return sum(one.matched for one in said.values())
