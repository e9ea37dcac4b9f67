"""Watches the consumer from beside it: one whose fetches hang learns of nothing new, so Kafka is asked what there is.

What is asked and found is judged by `stalls`. While Kafka does not answer nobody is called stuck: a restart would not
help.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
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
    assigning = 2.0
    """How many times as long an assignment may take: a group waits a minute for members that do not come back."""

    def __init__(self, app: LaneApp) -> None:
        self._app: Any = app
        self._partitions: Stalls | None = None
        self._assignment: Stalls | None = None
        self.ends: dict[Where, int] = {}
        """Next offsets of the partitions that are worked on, as Kafka told them last."""
        self.stuck = ""
        """Why the worker is stuck; empty: it is not."""

    async def look(self, clock: Callable[[], float]) -> None:
        """Ask Kafka and judge. ``clock``: monotonic seconds."""
        self.ends = await ends(self._app.admin, [*self._standings({}), *self._assigned()])
        now, longest = clock(), 2 * self.every
        self._partitions = self._partitions or Stalls(self.patience, longest)
        self._assignment = self._assignment or Stalls(self.assigning * self.patience, longest)
        standings = self._standings(self.ends)  # of now: the answer took its time
        still = self._partitions.observe({tp: one for tp, one in standings.items() if tp in self.ends}, now)
        assigned = self._assigned()
        waiting = self._assignment.observe({tp: one for tp, one in assigned.items() if tp in self.ends}, now)
        if still:
            where = ", ".join(f"{topic}-{number}" for topic, number in still)
            self.stuck = f"no progress for {self._partitions.patience:.0f} s in {where}"
        else:
            self.stuck = f"no end of an assignment for {self._assignment.patience:.0f} s" if waiting else ""

    @property
    def _ready(self) -> bool:
        return bool(self._app.tables.actives_ready and not self._app.rebalancing)

    def _assigned(self) -> dict[Where, Standing]:
        """Tell that an assignment is awaited or under way, as one that begins anew with every other; else nothing."""
        app = self._app
        if self._ready or self._recovering():
            return {}
        progress = (app.consumer_generation_id, app.rebalancing_count)
        return {(lane.inbox, 0): Standing(1, 0, progress) for lane in app.lanes.values()}

    def _recovering(self) -> dict[Where, tuple[int, int]]:
        app = self._app
        return app.tables.recovery.lacking() if app.consumer.flow_active else {}

    def _standings(self, ends: dict[Where, int]) -> dict[Where, Standing]:
        """Tell where each partition stands that is worked on: of changelogs in a recovery, else of inboxes."""
        consumer, recovering = self._app.consumer, self._recovering()
        if recovering:
            return {tp: Standing(end, done, (done,)) for tp, (done, end) in recovering.items()}
        if not self._ready:
            return {}
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
    if any(isinstance(answer, KafkaException) for answer in answers):
        with suppress(KafkaException):  # away, then; see `libs.runtime.offsets` why the next question needs it
            await asyncio.to_thread(client.list_topics, timeout=TIMEOUT)
    found: dict[Where, int] = {}
    for one, answer in zip(asked, answers, strict=True):
        if isinstance(answer, KafkaException):
            continue
        if isinstance(answer, BaseException):
            raise answer
        found[one.topic, one.partition] = answer.offset
    return found
