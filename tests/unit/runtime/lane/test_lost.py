"""What retention took before it was folded is told and counted; other holes are not."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from libs.runtime.lane.consumer import SliceConsumer
from libs.runtime.lane.continuity import Continuity
from libs.runtime.lane.counters import Counters
from libs.runtime.lane.ranges import Ranges
from tests.unit.runtime.lane.lab import Record

INBOX, LOG = TP("things.inbox", 0), TP("things-changelog", 0)


class Behind(SliceConsumer):
    """What of the consumer decides whether a fetch follows. ``beginning``: of the inbox; None: Kafka is away."""

    def __init__(self, beginning: int | None) -> None:
        self.beginning = beginning
        lane, other = (SimpleNamespace(inbox=name, counters=Counters()) for name in (INBOX.topic, "others.inbox"))
        recovery = SimpleNamespace(next_offset=lambda _tp: 5)
        monitor = SimpleNamespace(track_tp_end_offset=lambda *_: None)
        self.app = SimpleNamespace(
            max_backlog=10,
            inboxes={INBOX.topic},
            lanes={"a": lane, "b": other},
            monitor=monitor,
            tables=SimpleNamespace(recovery=recovery),
        )
        self.lane, self.other = lane, other
        self.ranges, self._continuity, self._holes = Ranges(), Continuity(), []
        self.ranges.seek(INBOX, 5)

    def assignment(self) -> set[TP]:
        return {INBOX}

    async def _wait_next_records(self, _timeout: float) -> tuple[None, None]:
        return None, None

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        if self.beginning is None:
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, self.beginning)

    def highwater(self, _tp: Any) -> int:
        nothing: Any = None
        return int(nothing.assignment)

    async def meet(self, tp: TP, first: int) -> bool:
        """Fetch from ``first`` on, seek back, and fetch again; then look into what was passed over."""
        records: Any = [Record(b"k", b"", first)]
        followed = self._follows(tp, records) or self._follows(tp, records)
        await self._tell_lost()
        return followed


@pytest.mark.parametrize(
    ("beginning", "first", "lost"),
    [
        (9, 9, 4),  # deleted up to there
        (7, 9, 2),  # the rest are a transaction's markers
        (0, 9, 0),
        (30, 9, 4),  # deleted further meanwhile: what was fetched is not lost
        (0, 5, 0),
    ],
)
async def test_events_that_retention_took_are_counted(
    beginning: int, first: int, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = Behind(beginning)
    assert await consumer.meet(INBOX, first)
    assert (consumer.lane.counters.lost, consumer.other.counters.lost) == (lost, 0)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == bool(lost)
    assert all(f"records 5 to {4 + lost} of things.inbox-0" in sentence for sentence in told)


async def test_holes_of_a_changelog_are_compaction() -> None:
    consumer = Behind(9)
    assert await consumer.meet(LOG, 9)
    assert consumer.lane.counters.lost == 0


async def test_a_loss_is_told_when_kafka_is_back() -> None:
    consumer = Behind(None)
    await consumer.meet(INBOX, 9)
    assert consumer.lane.counters.lost == 0
    consumer.beginning = 9
    await consumer._tell_lost()
    await consumer._tell_lost()
    assert consumer.lane.counters.lost == 4


async def test_holes_are_looked_into_before_the_next_fetch() -> None:
    consumer = Behind(9)
    consumer._holes.append((INBOX, 5, 9))
    assert [message async for message in consumer._slices(0.0)] == []
    assert consumer.lane.counters.lost == 4


def test_an_assignment_that_another_thread_takes_away_is_no_failure() -> None:
    consumer = Behind(0)
    records: Any = [Record(b"k", b"", 5)]
    assert consumer.known_highwater(INBOX) == 0
    assert list(consumer._wanted({INBOX: records}, None)) == [(INBOX, records)]
