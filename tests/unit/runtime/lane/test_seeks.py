"""Seeks touch only what is assigned, whatever a seek that a rebalance overtook left behind."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from faust.types import TP

from libs.runtime.lane.consumer import SliceConsumer
from libs.runtime.lane.ranges import Ranges

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

MINE, COMMITTED, GONE = (TP("things.inbox", number) for number in range(3))


class Seeking(SliceConsumer):
    """The parts of the consumer that a seek needs."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(inboxes={"things.inbox"})
        self.ranges = Ranges()
        self._read_offset: dict[TP, int | None] = {GONE: None}
        self._committed_offset: dict[TP, int | None] = {}
        self.sought: dict[TP, int] = {}

    def assignment(self) -> set[TP]:
        return {MINE, COMMITTED}

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return {MINE: None, COMMITTED: 7}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 3)

    async def seek_wait(self, partitions: Any) -> None:
        self.sought |= partitions


async def test_a_partition_that_went_to_another_worker_is_not_sought() -> None:
    consumer = Seeking()
    consumer.ranges.seek(GONE, 9)
    await consumer.perform_seek()
    assert consumer.sought == {MINE: 3}
    assert consumer.ranges.done() == {MINE: 3, COMMITTED: 7}
    assert GONE not in consumer._read_offset


class Admin:
    """Knows where partitions begin."""

    def list_offsets(self, asked: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        found: dict[TopicPartition, Future[Any]] = {}
        for one in asked:
            found[one] = Future()
            found[one].set_result(SimpleNamespace(offset=10 + one.partition))
        return found


async def test_the_beginning_is_asked_of_an_own_client_since_the_consumers_waits_for_records() -> None:
    consumer: Any = SimpleNamespace(app=SimpleNamespace(admin=Admin()))
    assert await SliceConsumer.earliest_offsets(consumer, MINE, COMMITTED) == {MINE: 10, COMMITTED: 11}
