"""Seeks touch only what is assigned, whatever a seek that a rebalance overtook left behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from libs.runtime.lane.consumer import SliceConsumer
from libs.runtime.lane.ranges import Ranges

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
