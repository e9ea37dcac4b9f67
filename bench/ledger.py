"""The ledger of commands: events per second in one process, and what 100,000 pending commands cost it.

Each command is three events: accepted, sent when the downlink tells that the broker has it, replied. There is nobody
who waits for an answer. Of each device the last eight replies are remembered, and from then on forgotten, which most
of the run is. With the backlog, as many commands as ``backlog`` says wait for other devices, which are offline; runs
without it and with it take turns. Rates are taken between 5 % and 95 % of the events; one process, whose machine has
Kafka on it too. Every command's events and every row are compared with what they must be.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench.support import ledgers
from bench.support.kafka import Cluster
from bench.support.runs import App, Drain, drain
from devstack.stack import Stack
from libs.topics import names
from services.commands.app import TABLE

PARTITIONS = 4
ONLINE = 5_000
OFFLINE = 10_000
BACKLOG = 100_000


class Size(msgspec.Struct, frozen=True):
    repetitions: int
    commands: int


QUICK = Size(repetitions=1, commands=40_000)
FULL = Size(repetitions=3, commands=300_000)


def run(quick: bool) -> dict[str, Any]:
    size = QUICK if quick else FULL
    free = ledgers.Work(ONLINE, OFFLINE, 0, size.commands)
    loaded = ledgers.Work(ONLINE, OFFLINE, BACKLOG, size.commands)
    runs: dict[ledgers.Work, list[Drain]] = {free: [], loaded: []}
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        cluster = Cluster(stack.kafka, PARTITIONS)
        for work in runs:
            cluster.create({_inbox(work): {}})
            cluster.write(_inbox(work), work.records())
        for _ in range(size.repetitions):
            for work, found in runs.items():
                app = App(cluster, "ledger_lane", _inbox(work))
                cluster.create(ledgers.topics(app.name))
                try:
                    found.append(drain(app, names.COMMANDS_EVENTS, work.events, work.before))
                    cluster.await_rest(names.changelog(app.name, TABLE))
                    wrong += work.mismatches(cluster, app.name)
                finally:
                    app.kill()
                    cluster.drop(ledgers.topics(app.name))
    rates = {work: statistics.median(one.rate for one in found) for work, found in runs.items()}
    memory = {work: statistics.median(one.rss_mb for one in found) for work, found in runs.items()}
    return {
        "events_per_s": round(rates[free]),
        "cpu_us_per_event": round(statistics.median(one.cpu_us for one in runs[free]), 1),
        "events_per_s_with_backlog": round(rates[loaded]),
        "cpu_us_per_event_with_backlog": round(statistics.median(one.cpu_us for one in runs[loaded]), 1),
        "slowdown_with_backlog": round(1 - rates[loaded] / rates[free], 3),
        "backlog": BACKLOG,
        "backlog_mb": round(memory[loaded] - memory[free]),
        "rss_mb": round(memory[free]),
        "foreign_cpus": round(statistics.median(one.foreign_cpus for found in runs.values() for one in found), 2),
        "mismatched": wrong,
    }


def _inbox(work: ledgers.Work) -> str:
    return f"asked-{work.pending}"
