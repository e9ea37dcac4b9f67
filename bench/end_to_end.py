"""How long it takes from when a device's message is due until its row can be queried, through the whole hub.

device → mosquitto → ingest → Kafka → timeseries → ClickHouse, at a steady rate. A query asks every `PROBE` seconds how
far each partition has come in the last of the tables that an event goes to; an event counts as queryable when the first
such query that shows it has answered, and as lost when none has. So what is reported is never less than the truth, and
up to `PROBE` and a query more.
"""

from __future__ import annotations

import bisect
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.support.paced import Paced, percentile
from bench.support.process import Foreign
from devstack.stack import Stack
from libs.runtime.clickhouse import connect
from libs.runtime.settings import ClickHouseSettings
from libs.topics import names

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

RATE = 5_000
DEVICES = 1_000
PROBE = 0.1
TIMEOUT = 60.0
PRODUCT = "bench"
PROGRAMS = ("kafka", "mosquitto", "clickhouse", "ingest", "timeseries")


class Event(msgspec.Struct):
    """What is read back of an event's payload."""

    n: int
    sent: int


class Probes(threading.Thread):
    """What the queries saw: for each partition, offsets and the moments at which they were seen, both growing."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client, self._ending = client, threading.Event()
        self.seen: dict[int, tuple[list[int], list[float]]] = {}

    def run(self) -> None:
        while not self._ending.wait(PROBE):
            self._look()
        self._look()

    def stop(self) -> None:
        """Returns after one more look, at which everything is seen that is there now."""
        self._ending.set()
        self.join(TIMEOUT)

    def _look(self) -> None:
        found = self._client.query(
            "SELECT partition, max(offset) FROM metric_strings WHERE topic = %(topic)s GROUP BY partition",
            parameters={"topic": names.DEVICE_TELEMETRY},
        )
        now = time.time()
        for partition, offset in found.result_rows:
            offsets, moments = self.seen.setdefault(partition, ([-1], [0.0]))
            if offset > offsets[-1]:
                offsets.append(offset)
                moments.append(now)

    def moment(self, partition: int, offset: int) -> float | None:
        """When a record was first seen, in seconds since 1970; None where it never was."""
        offsets, moments = self.seen.get(partition, ([], []))
        at = bisect.bisect_left(offsets, offset)
        return moments[at] if at < len(offsets) else None


def message(number: int, now: int) -> tuple[str, bytes]:
    """Four numbers and a text, and with them six rows in three tables."""
    payload = b'{"n":%d,"sent":%d,"temperature":%d.5,"humidity":%d,"status":"fine"}' % (
        number,
        now,
        number % 40,
        number % 100,
    )
    return f"upload_data/{PRODUCT}/d{number % DEVICES}/weather/m{number}", payload


def run(quick: bool) -> dict[str, Any]:
    warm_up, seconds = (3, 8) if quick else (15, 45)
    count = RATE * (warm_up + seconds)
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=("ingest", "timeseries")) as stack,
    ):
        stack.wait_ready()
        foreign = Foreign(*(pid for name in PROGRAMS if (pid := stack.pid(name))))
        settings = ClickHouseSettings(url=stack.clickhouse_url)
        with connect(settings, "bench") as client, connect(settings, "probes") as other:
            probes = Probes(other)
            probes.start()
            rate = Paced(stack.mqtt_internal_port, message, RATE, count).run()
            _await_rows(client, count)
            probes.stop()
            others = foreign.cores()
            stored = _stored(client)
    events = [(msgspec.json.decode(payload, type=Event), partition, offset) for partition, offset, payload in stored]
    seen = [
        (event, moment)
        for event, partition, offset in events
        if (moment := probes.moment(partition, offset)) is not None
    ]
    delays = sorted(1000 * moment - event.sent / 1000 for event, moment in seen if event.n >= RATE * warm_up)
    different = len({event.n for event, _ in seen})
    return {
        "rate": round(rate),
        "p50_ms": round(percentile(delays, 0.5)),
        "p99_ms": round(percentile(delays, 0.99)),
        "max_ms": round(delays[-1]),
        "lost": count - different,
        "duplicated": len(seen) - different,
        "foreign_cpus": round(others, 2),
        "probe_ms": round(1000 * PROBE),
        "messages": count,
    }


def _await_rows(client: Client, count: int) -> None:
    """Wait for the last of the tables to have a row of each event. What is not there at the deadline counts as lost."""
    deadline, pause = time.monotonic() + TIMEOUT, threading.Event()
    while client.query("SELECT count() FROM metric_strings").result_rows[0][0] < count and time.monotonic() < deadline:
        pause.wait(PROBE)


def _stored(client: Client) -> list[tuple[int, int, str]]:
    query = "SELECT partition, offset, payload FROM raw_events WHERE product_id = %(product)s"
    found = client.query(query, parameters={"product": PRODUCT})
    return [(partition, offset, payload) for partition, offset, payload in found.result_rows]
