"""The lane beside a plain Faust agent and a plain loop that do the same work, run by run.

Every event of about 170 bytes is decoded, counted into its key's row, answered by one output and, in the end, one
changelog record per changed row. Rates and CPU are taken between 5 % and 95 % of the outputs, so that the start of
Python is not in them; the machine's cores are shared with Kafka.

The ``presence`` figures are of the presence service's own step, where every event is a connect or a close: six records
for each (document, transition, its three feeds, row), in the lane and in the plain loop.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.lane_apps.fold import Count, Reading, encode, output_topic
from bench.lane_apps.lane import TABLE
from bench.support import presence
from bench.support.kafka import COMPACT, Cluster
from bench.support.latency import measure
from bench.support.runs import App, Drain, drain
from devstack.stack import Stack
from libs.runtime.lane.rows import GENERATION_SHIFT, PREFIX, SHARED_KEY, Codec, prefix
from libs.topics.names import changelog, dead_letters

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS, HOT_KEYS = 100_000, 200
PARTITIONS = 4
LANES = ("lane", "presence_lane")
RATES = {"": 2_000, "_20k": 20_000}
"""Events per second by the suffix of the figures' names."""
PADDING = "x" * 120


class Size(msgspec.Struct, frozen=True):
    """How much one invocation does."""

    repetitions: int
    events: int
    presence_events: int
    faust_events: int
    recovered_rows: int
    paced_seconds: float


QUICK = Size(
    repetitions=1, events=150_000, presence_events=40_000, faust_events=12_000, recovered_rows=200_000, paced_seconds=3
)
FULL = Size(
    repetitions=3,
    events=500_000,
    presence_events=150_000,
    faust_events=40_000,
    recovered_rows=1_000_000,
    paced_seconds=15,
)


class Backlog(msgspec.Struct, frozen=True):
    inbox: str
    events: int
    keys: int

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, encode(one)) for key, one in readings(self.events, self.keys))

    def output(self, app: str) -> str:
        """Where each event makes one record."""
        return output_topic(app)

    def topics(self, app: str) -> dict[str, dict[str, str]]:
        return topics(app)

    def mismatches(self, cluster: Cluster, app: str) -> int:
        return mismatches(cluster, app, self)


class Connections(Backlog, frozen=True):
    """Events of the presence service."""

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        return presence.connections(self.events, self.keys)

    def output(self, _app: str) -> str:
        return presence.STATE

    def topics(self, app: str) -> dict[str, dict[str, str]]:
        return presence.topics(app)

    def mismatches(self, cluster: Cluster, app: str) -> int:
        return presence.mismatches(cluster, app, self.events, self.keys)


def run(quick: bool) -> dict[str, Any]:
    size = QUICK if quick else FULL
    spread = Backlog("spread", size.events, KEYS)
    hot = Backlog("hot", size.events, HOT_KEYS)
    short = Backlog("short", size.faust_events, KEYS)
    connections = Connections("connections", size.presence_events, KEYS)
    turns = {
        "lane": ("lane", spread),
        "loop": ("plain_loop", spread),
        "hot": ("lane", hot),
        "faust": ("plain_faust", short),
        "presence": ("presence_lane", connections),
        "presence_loop": ("presence_loop", connections),
    }
    found: dict[str, list[Drain]] = {name: [] for name in turns}
    mismatched = 0
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        cluster = Cluster(stack.kafka, PARTITIONS)
        for backlog in (spread, hot, short, connections):
            cluster.create({backlog.inbox: {}})
            cluster.write(backlog.inbox, backlog.records())
        for _ in range(size.repetitions):
            for name, (program, backlog) in turns.items():
                result, wrong = _drain(cluster, program, backlog)
                found[name].append(result)
                mismatched += wrong
        return {
            **_figures(found),
            **_latency(cluster, size),
            "recovery_rows_per_s": _recovery(cluster, size.recovered_rows),
            "mismatched": mismatched,
        }


def readings(count: int, keys: int) -> Iterator[tuple[bytes, Reading]]:
    """Yield the same events in the same order whenever asked; keys at random where there are fewer than events."""
    choose = random.Random(keys)
    for n in range(count):
        device = f"product/device-{choose.randrange(keys)}"
        yield device.encode(), Reading(device, n, n & 1023, PADDING)


def _drain(cluster: Cluster, program: str, backlog: Backlog) -> tuple[Drain, int]:
    """Drain the backlog by a fresh app; returns how fast, and how many of a lane's rows are not as they must be."""
    app = App(cluster, program, backlog.inbox)
    cluster.create(backlog.topics(app.name))
    try:
        found = drain(app, backlog.output(app.name), backlog.events)
        return found, backlog.mismatches(cluster, app.name) if program in LANES else 0
    finally:
        app.kill()
        cluster.drop(backlog.topics(app.name))


def topics(app: str) -> dict[str, dict[str, str]]:
    return {output_topic(app): {}, dead_letters(app): {}, changelog(app, TABLE): COMPACT}


def mismatches(cluster: Cluster, app: str, backlog: Backlog) -> int:
    """Count the rows of the changelog that differ from the events', either way."""
    wanted: dict[bytes, tuple[int, int]] = {}
    for key, reading in readings(backlog.events, backlog.keys):
        number, total = wanted.get(key, (0, 0))
        wanted[key] = number + 1, total + reading.value
    latest = {record.key(): record.value() for record in cluster.read(changelog(app, TABLE))}
    thaw = msgspec.msgpack.Decoder(Count).decode
    rows = {key: thaw(frame[PREFIX:]) for key, frame in latest.items() if key != SHARED_KEY}
    found = {key: (row.number, row.total) for key, row in rows.items()}
    return sum(found.get(key) != wanted.get(key) for key in found.keys() | wanted.keys())


def _figures(found: dict[str, list[Drain]]) -> dict[str, Any]:
    def median(name: str, figure: str) -> float:
        return float(statistics.median(getattr(one, figure) for one in found[name]))

    def ratio(name: str, partner: str, figure: str) -> float:
        pairs = zip(found[name], found[partner], strict=True)
        return float(statistics.median(getattr(one, figure) / getattr(other, figure) for one, other in pairs))

    return {
        "events_per_s": round(median("lane", "rate")),
        "events_per_s_hot": round(median("hot", "rate")),
        "faust_events_per_s": round(median("faust", "rate")),
        "loop_events_per_s": round(median("loop", "rate")),
        "ratio_to_plain_faust": round(ratio("lane", "faust", "rate"), 1),
        "cpu_us_per_event": round(median("lane", "cpu_us"), 2),
        "cpu_us_per_event_hot": round(median("hot", "cpu_us"), 2),
        "faust_cpu_us_per_event": round(median("faust", "cpu_us"), 1),
        "cpu_ratio_to_plain_loop": round(ratio("lane", "loop", "cpu_us"), 2),
        "presence_events_per_s": round(median("presence", "rate")),
        "presence_loop_events_per_s": round(median("presence_loop", "rate")),
        "presence_cpu_us_per_event": round(median("presence", "cpu_us"), 1),
        "presence_cpu_ratio_to_plain_loop": round(ratio("presence", "presence_loop", "cpu_us"), 2),
        "rss_mb": round(median("lane", "rss_mb")),
        "foreign_cpus": round(statistics.median(one.foreign_cpus for runs in found.values() for one in runs), 2),
    }


def _latency(cluster: Cluster, size: Size) -> dict[str, float]:
    """Milliseconds at steady rates, through a warm app."""
    app = App(cluster, "lane", "paced")
    cluster.create({"paced": {}, **topics(app.name)})
    app.start()
    found: dict[str, float] = {}
    try:
        for suffix, rate in RATES.items():
            p50, p99 = measure(cluster, "paced", output_topic(app.name), rate, size.paced_seconds)
            found |= {f"p50_ms{suffix}": round(p50, 1), f"p99_ms{suffix}": round(p99, 1)}
    finally:
        app.kill()
        cluster.drop(["paced", *topics(app.name)])
    return found


def frames(rows: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield a changelog of that many rows."""
    encode_row = Codec(Count, str).encode
    revision = 1 << GENERATION_SHIFT
    for n in range(rows):
        row = Count(revision=revision, offset=n, number=1, total=n, last=n)
        yield b"product/device-%d" % n, prefix(revision) + encode_row(row)


def _recovery(cluster: Cluster, rows: int) -> int:
    """Rows per second from the changelog into a memory store."""
    app = App(cluster, "lane", "empty")
    cluster.create({"empty": {}, **topics(app.name)})
    try:
        cluster.write(changelog(app.name, TABLE), frames(rows))
        app.start()
        said = app.await_log("rows are recovered")
    finally:
        app.kill()
        cluster.drop(["empty", *topics(app.name)])
    if said["records"] != rows:
        raise RuntimeError(f"{said['records']} of {rows} rows were recovered")
    seconds: float = said["seconds"]
    return round(rows / seconds)
