"""The plain loop that the sink is compared with: the same tables, rows as tuples, nothing promised.

Reads 20,000 records, inserts their rows, commits. A crash between the two doubles them.
Usage: ``python -m bench.naive_sink KAFKA GROUP CLICKHOUSE DATABASE``; it runs until it is killed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer

from libs.runtime.clickhouse import connect
from libs.runtime.settings import ClickHouseSettings
from libs.topics.messages.telemetry import DataUploaded
from services.timeseries.tables import METRIC_STRINGS, METRICS, RAW_EVENTS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from services.timeseries.table import Table

BLOCK = 20_000


def main(kafka: str, group: str, clickhouse: str, database: str) -> None:
    client = connect(ClickHouseSettings(url=clickhouse, database=database), "naive")
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["device.telemetry"])
    while True:
        records = consumer.consume(BLOCK, 0.2)
        if records:
            for table, rows in tables(records).items():
                write(client, table, rows)
            consumer.commit(asynchronous=False)


def tables(records: list[Any]) -> dict[Table, list[tuple[Any, ...]]]:
    """Rows of flat payloads by table."""
    found: dict[Table, list[tuple[Any, ...]]] = {RAW_EVENTS: [], METRICS: [], METRIC_STRINGS: []}
    for record in records:
        e = msgspec.json.decode(record.value(), type=DataUploaded)
        place = (record.topic(), record.partition(), record.offset())
        owner = (e.product_id, e.device_id, e.data_type)
        found[RAW_EVENTS].append(
            (*place, "data_uploaded", *owner, "", e.message_id, e.encoding, bytes(e.payload), e.received_at, None)
        )
        for key, value in msgspec.json.decode(e.payload).items():
            table = METRIC_STRINGS if isinstance(value, str) else METRICS
            found[table].append((*owner, key, e.received_at, value, *place))
    return found


def write(client: Client, table: Table, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        names, kinds = zip(*table.columns, strict=True)
        client.insert(table.name, rows, column_names=names, column_type_names=kinds)


if __name__ == "__main__":
    main(*sys.argv[1:])
