"""The consumer's thread: lanes' records as aiokafka's parser makes them, without a second object for each.

aiokafka turns each parsed record into a `ConsumerRecord`, in Python, which takes ten times as long as its parser does,
that is in C. A lane reads key, value, offset and timestamp of a record, and the parser's own have them.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)
# ruff: noqa: SLF001 - aiokafka has no public way in between, and the upgrade gate watches what is read here

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from faust.types import TP

    from .part import Record


class SliceThread(AIOKafkaConsumerThread):
    app: Any  # LaneApp

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,  # noqa: ARG002 - Faust passes it
    ) -> Any:
        """Wait for records here, so that none is met in its slow form; aiokafka takes them, which then never waits."""
        fetcher = consumer._fetcher
        if timeout and self.consumer.flow_active and active_partitions.isdisjoint(fetcher._records):
            waiter = fetcher._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=timeout)
            if not waiter.done():
                waiter.cancel()
        lighten(fetcher._records, self.app.inboxes | self.app.tables.changelog_topics)
        return await super()._fetch_records(consumer, active_partitions, timeout=0.0, max_records=None)


def lighten(fetched: dict[Any, Any], topics: Container[str]) -> None:
    """Let the results of these topics yield the parser's records."""
    for tp, result in fetched.items():
        if tp.topic in topics and type(result) is FetchResult:
            records = result._partition_records
            if type(records) is PartitionRecords and records._isolation_level == READ_UNCOMMITTED:
                result._partition_records = ParsedRecords(records)


class ParsedRecords:
    """What `FetchResult.getall` needs of a `PartitionRecords` that nobody has begun to read."""

    def __init__(self, records: PartitionRecords) -> None:
        self._tp, self._batches, self._check = records._tp, records._records, records._check_crcs
        self.next_fetch_offset: int = records.next_fetch_offset

    def __iter__(self) -> Iterator[Record]:
        """Yield all records. Raises `CorruptRecordException`, where checks are wanted."""
        batches = self._batches
        while batches.has_next():
            batch = batches.next_batch()
            if self._check and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not batch.is_control_batch:  # markers of transactions
                records = list(batch)
                if records and records[0].offset < self.next_fetch_offset:  # a batch is sent whole
                    records = [one for one in records if one.offset >= self.next_fetch_offset]
                yield from records
            self.next_fetch_offset = batch.next_offset
