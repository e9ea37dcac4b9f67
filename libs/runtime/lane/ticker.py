"""Ticks: how folds learn that time passes.

The worker that serves a partition tells it the time, by a broadcast in its inbox; so a replay meets the same moments at
the same places. A tick that Kafka does not take is counted and forgotten, where an output or a row that is not
delivered ends the process: it is no consequence of an event, nobody waits for it, and the next one says more than it
did. The idle workers of a fleet would otherwise end, all at once, whenever Kafka is away for longer than a delivery may
take.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from mode import Service

from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import TimePassed

from .fail import log

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

    from .app import LaneApp
    from .lane import Lane


class Ticker(Service):
    """Writes to every partition served here, of lanes that want it, one tick per period.

    At most one per partition is under way: while Kafka is away they do not pile up.
    """

    def __init__(self, app: LaneApp, period: float, **kwargs: Any) -> None:
        """``period`` in seconds."""
        super().__init__(**kwargs)
        self.app: Any = app
        self._period = period
        self._under_way: set[tuple[str, int]] = set()  # inbox and partition

    def beat(self, now: int) -> None:
        """Tell the time, ``now`` in Unix milliseconds."""
        self.app.lane_producer.client.poll(0)  # nobody asks for reports of deliveries while nothing else is in flight
        for lane in self.app.lanes.values():
            if lane.ticks:
                for number in sorted(lane.reads.owned()):
                    if (lane.inbox, number) not in self._under_way:
                        self._tell(lane, number, now)

    def _tell(self, lane: Lane, number: int, now: int) -> None:
        value = encode(TimePassed(partition=number, at=now))
        report = partial(self._reported, lane, number)
        self._under_way.add((lane.inbox, number))
        try:
            self.app.lane_producer.client.produce(lane.inbox, value, BROADCAST_KEY, number, on_delivery=report)
        except BufferError as full:
            self._reported(lane, number, full, None)

    def _reported(self, lane: Lane, number: int, error: KafkaError | BufferError | None, _message: Any) -> None:
        self._under_way.discard((lane.inbox, number))
        if error is None:
            lane.counters.ticks += 1
        else:
            lane.counters.ticks_lost += 1
            log.warning("tick to %s-%d was not delivered: %s", lane.inbox, number, error)

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop and any(lane.ticks for lane in self.app.lanes.values()):
            await self.sleep(self._period)
            self.beat(time.time_ns() // 1_000_000)
