"""Records as the parser makes them say what aiokafka's own records say, to the same position."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from libs.runtime.lane.fetch import ParsedRecords, lighten

if TYPE_CHECKING:
    from collections.abc import Callable

INBOX = TopicPartition("things.inbox", 0)
CONTROL = 0x20
LZ4 = DefaultRecordBatch.CODEC_LZ4


def batch(first: int, count: int, *, compression: int = 0, flags: int = 0) -> bytes:
    """Write a batch as a broker hands it out; keys and values are None, empty or bytes."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, 0, 1 << 20)
    for n in range(count):
        key = (None, b"", b"key-%d" % n)[n % 3]
        builder.append(n, 1_700_000_000_000 + first + n, key, b"value-%d" % n if n % 4 else None, [])
    made = bytearray(builder.build())
    made[0:8] = first.to_bytes(8, "big")
    made[22] |= flags  # the low byte of the attributes; checksums are then wrong
    return bytes(made)


def records(data: bytes, first: int, *, check: bool = False, isolation: int = READ_UNCOMMITTED) -> PartitionRecords:
    return PartitionRecords(INBOX, MemoryRecords(data), [], first, None, None, check, isolation)


def said(found: Any) -> list[tuple[Any, ...]]:
    return [(one.key, one.value, one.offset, one.timestamp, one.timestamp_type) for one in found]


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (batch(0, 7), 0),
        (batch(40, 7, compression=LZ4) + batch(60, 5), 40),
        (batch(40, 7) + batch(60, 5), 44),  # a batch is sent whole, also to who wants its end
        (batch(40, 7), 47),
        (batch(0, 3) + batch(3, 1, flags=CONTROL) + batch(4, 2), 0),
        (batch(0, 2) + batch(2, 1, flags=CONTROL), 0),
    ],
    ids=["one batch", "two, with a gap", "from the middle", "past the end", "a marker between", "a marker at the end"],
)
def test_all_that_is_wanted_is_yielded_and_the_position_is_behind_it(data: bytes, first: int) -> None:
    stock, ours = records(data, first), ParsedRecords(records(data, first))
    assert said(ours) == said(stock)
    assert ours.next_fetch_offset == stock.next_fetch_offset


@pytest.mark.parametrize("read", [ParsedRecords, lambda stock: stock], ids=["ours", "stock"])
def test_a_wrong_checksum_is_refused_where_checks_are_wanted(read: Callable[[PartitionRecords], Any]) -> None:
    broken = batch(0, 3, flags=CONTROL)
    with pytest.raises(CorruptRecordException):
        list(read(records(broken, 0, check=True)))
    assert list(read(records(broken, 0))) == []


def result(topic: str, **options: Any) -> FetchResult:
    moved: list[int] = []
    position = SimpleNamespace(paused=False, position=0, consumed_to=moved.append)
    assignment = SimpleNamespace(active=True, state_value=lambda _tp: position, moved=moved)
    made = records(batch(0, 3), 0, **options)
    return FetchResult(TopicPartition(topic, 0), assignment=assignment, partition_records=made, backoff=0.1)


def test_a_result_takes_the_lighter_records_and_moves_the_position() -> None:
    light = result(INBOX.topic)
    lighten({INBOX: light}, {INBOX.topic})
    lighten({INBOX: light}, {INBOX.topic})  # it may be met again before it is taken
    assert isinstance(light._partition_records, ParsedRecords)
    assert said(light.getall()) == said(records(batch(0, 3), 0))
    assert (light._assignment.moved, light.has_more()) == ([3], False)


def test_other_topics_failures_and_transactions_stay_with_aiokafka() -> None:
    other, failed = TopicPartition("other", 0), object()
    fetched = {other: result("other"), INBOX: result(INBOX.topic, isolation=READ_COMMITTED)}
    before = {tp: one._partition_records for tp, one in fetched.items()}
    lighten({**fetched, TopicPartition(INBOX.topic, 1): failed}, {INBOX.topic})
    assert {tp: one._partition_records for tp, one in fetched.items()} == before
