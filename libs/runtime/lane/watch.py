"""Watches the consumer from beside it: one whose fetches hang learns of nothing new, so Kafka is asked what there is.

What is asked and found is judged by `stalls`. While Kafka does not answer, or a rebalance is under way, nobody is
called stuck: a restart would not help.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from .stalls import Stalls, Standing, in_inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo

    from .app import LaneApp
    from .ranges import Where

TIMEOUT = 5.0
"""Seconds that Kafka may take to answer."""


class Watch:
    patience = 60.0
    """Seconds that a partition may stand still before the worker counts as stuck."""
    every = 10.0
    """Seconds between two questions."""

    def __init__(self, app: LaneApp) -> None:
        self._app: Any = app
        self._stalls: Stalls | None = None
        self.ends: dict[Where, int] = {}
        """Next offsets of the partitions that are worked on, as Kafka told them last."""
        self.stuck: list[str] = []
        """Partitions without progress, as people read them."""

    async def look(self, clock: Callable[[], float]) -> None:
        """Ask Kafka and judge. ``clock``: monotonic seconds."""
        self.ends = await ends(self._app.admin, self._standings({}))
        if self._stalls is None:
            self._stalls = Stalls(self.patience, longest=2 * self.every)
        standings = self._standings(self.ends)  # of now: the answer took its time
        told = {tp: one for tp, one in standings.items() if tp in self.ends}
        self.stuck = [f"{topic}-{number}" for topic, number in self._stalls.observe(told, clock())]

    def _standings(self, ends: dict[Where, int]) -> dict[Where, Standing]:
        """Tell where each partition stands that is worked on: of changelogs in a recovery, else of inboxes."""
        consumer, recovering = self._app.consumer, self._app.tables.recovery.lacking()
        if not consumer.flow_active:
            return {}
        if recovering:
            return {tp: Standing(end, done, (done,)) for tp, (done, end) in recovering.items()}
        sweeping = {
            (lane.inbox, part.number): lane.counters.swept
            for lane in self._app.lanes.values()
            for part in lane.parts.parts()
            if part.sweep is not None
        }
        return {
            tp: in_inbox(
                ends.get(tp, 0),
                done,
                tail=consumer.ranges.tail(tp) or 0,
                highwater=consumer.known_highwater(tp),
                cycles=consumer.cycles,
                swept=sweeping.get(tp, 0),
            )
            for tp, done in consumer.ranges.done().items()
        }


async def ends(client: AdminClient, partitions: Iterable[Where]) -> dict[Where, int]:
    """Ask for partitions' next offsets; those that Kafka does not tell, since it is away or moves them, are missing."""
    latest = OffsetSpec.latest()
    wanted = {TopicPartition(topic, number): latest for topic, number in partitions}
    if not wanted:
        return {}
    asked: dict[TopicPartition, Future[ListOffsetsResultInfo]] = client.list_offsets(wanted, request_timeout=TIMEOUT)
    answers = await asyncio.gather(*map(asyncio.wrap_future, asked.values()), return_exceptions=True)
    found: dict[Where, int] = {}
    for one, answer in zip(asked, answers, strict=True):
        if isinstance(answer, KafkaException):
            continue
        if isinstance(answer, BaseException):
            raise answer
        found[one.topic, one.partition] = answer.offset
    return found
