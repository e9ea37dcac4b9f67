"""Writes a block to ClickHouse and its dead letters to Kafka; either may be done again without effect."""

from __future__ import annotations

import time
from base64 import b64decode
from functools import partial
from typing import TYPE_CHECKING, Final

from clickhouse_connect.datatypes.registry import get_from_name

from libs.runtime import logs
from libs.runtime.clickhouse.outages import outlast
from libs.topics import names
from libs.topics.codec import encode

from . import metrics
from .records import SERVICE
from .tables import TABLES

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from clickhouse_connect.driver.client import Client
    from confluent_kafka import KafkaError, Message, Producer

    from libs.topics.messages.deadletters import DeadLetter

    from .blocks import Block
    from .table import Columns, Table

log = logs.get(__name__)

DEAD_LETTERS: Final = names.dead_letters(SERVICE)
FLUSH_SECONDS: Final = 60.0

_TYPES: Final = {table.name: [get_from_name(kind) for _, kind in table.columns] for table in TABLES}
"""Given with each insert: otherwise the client would ask the server for them each time."""


class DeadLetterFailed(Exception):
    """Kafka did not take a dead letter. The block stays promised, so the next start repeats it."""


class Store:
    """Usable from several threads at once."""

    def __init__(self, client: Client, producer: Producer) -> None:
        self._client = client
        self._producer = producer
        self.outage = ""
        """What ClickHouse, or the way to it, said last; empty while it answers."""

    def put(self, block: Block, stop: threading.Event) -> None:
        """Store a block, waiting as long as ClickHouse is away.

        Raises `outages.Abandoned` when ``stop`` is set, `DeadLetterFailed`, and whatever says that the block can
        never be stored as it is: clickhouse_connect's errors about the request, and its encoder's about a value.
        """
        for table, columns in block.rows.tables():
            if columns[0]:
                outlast(partial(self._insert, block, table, columns), stop, self._waiting)
        if block.rows.dead_letters:
            self._bury(block.rows.dead_letters)

    def _insert(self, block: Block, table: Table, columns: Columns) -> None:
        begin = time.perf_counter()
        self._client.insert(
            table.name,
            columns,
            column_names=[name for name, _ in table.columns],
            column_types=_TYPES[table.name],
            column_oriented=True,
            settings={
                "insert_deduplication_token": block.token(table),
                # Devices that deliver a year of backlog at once must not be refused.
                "max_partitions_per_insert_block": 0,
            },
        )
        metrics.INSERT_SECONDS.labels(table.name).observe(time.perf_counter() - begin)
        metrics.ROWS.labels(table.name).inc(len(columns[0]))
        metrics.EXPIRED.labels(table.name).inc(table.expired(columns, int(time.time() * 1000)))
        if self.outage:
            log.info("ClickHouse answers again")
            self.outage = ""

    def _waiting(self, error: Exception, delay: float) -> None:
        metrics.OUTAGES.inc()
        self.outage = str(error)
        log.warning("ClickHouse does not take rows", error=str(error), next_attempt_in_s=delay)

    def _bury(self, letters: Sequence[DeadLetter]) -> None:
        """Send dead letters and wait for Kafka. A repeated one has the same ``origin`` and the same bytes."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        for letter in letters:
            key = None if letter.key is None else b64decode(letter.key)
            self._producer.produce(DEAD_LETTERS, key=key, value=encode(letter), on_delivery=delivered)
        waiting = self._producer.flush(FLUSH_SECONDS)
        if failed or waiting:
            raise DeadLetterFailed(f"{failed[0] if failed else 'no answer'} for a dead letter to {DEAD_LETTERS}")
