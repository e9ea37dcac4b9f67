"""The loop that the sink is compared with does the same work, else their ratio says nothing."""

from __future__ import annotations

from bench.naive_sink import tables
from services.timeseries.rows import TelemetryRows
from tests.unit.timeseries.fakes import Fake, uploaded


class Polled(Fake, frozen=True):
    """A record as the plain loop sees it."""

    def topic(self) -> str:
        return "device.telemetry"

    def partition(self) -> int:
        return 3


def test_the_plain_loop_writes_the_rows_that_the_sink_writes() -> None:
    events = [uploaded(offset, b'{"temperature":21.5,"humidity":40.0,"status":"fine"}') for offset in range(3)]
    records = [Polled(event.at, event.content) for event in events]
    sink = TelemetryRows("device.telemetry", 3)
    for record in records:
        sink.add(record)
    naive = tables(records)
    for table, columns in sink.tables():
        assert naive[table] == list(zip(*columns, strict=True)), table.name
        assert all(len(row) == len(table.columns) for row in naive[table])
