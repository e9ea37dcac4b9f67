"""Moves the note, at moments when nothing before its new place can be delivered again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from confluent_kafka import KafkaException

from libs.runtime import logs

from . import metrics
from .state import Limits, State

if TYPE_CHECKING:
    from libs.runtime.mqtt.session import Link

    from .books import Books
    from .notes import Notes

log = logs.get(__name__)
LOOK_EVERY = 0.1
"""Seconds between two looks whether a checkpoint is due."""


class Flow(Protocol):
    """What one connection has taken and acknowledged; the pump."""

    @property
    def state(self) -> State: ...
    @property
    def taken(self) -> int: ...
    @property
    def books(self) -> Books: ...
    async def acknowledged(self, count: int) -> None:
        """Returns when the first ``count`` messages of the connection are acknowledged."""


class Keeper:
    """Checkpoints of one connection after another."""

    def __init__(self, notes: Notes, limits: Limits) -> None:
        self._notes, self._limits = notes, limits

    async def keep(self, link: Link, flow: Flow) -> None:
        """At once when the redelivered messages are through, then by time and by count; seldom while idle.

        Idle, it keeps the tail short where other services write to the same topics, and Kafka from forgetting it.
        """
        limits, noted, last = self._limits, 0, 0.0
        pause = LOOK_EVERY
        while True:
            await asyncio.sleep(pause)
            pause = LOOK_EVERY
            new, since = flow.taken - noted, time.monotonic() - last
            due = new >= limits.checkpoint_every or since >= (limits.checkpoint if new else limits.idle_checkpoint)
            if due and flow.state in {State.LIVE, State.UNDECIDED}:
                try:
                    noted = await self.checkpoint(link, flow)
                except KafkaException as error:  # the note only stays behind; the connection must outlive Kafka
                    log.warning("checkpoint_failed", error=str(error))
                    pause = limits.checkpoint
                last = time.monotonic()

    async def checkpoint(self, link: Link, flow: Flow) -> int:
        """Move the note to where the topics end now, once nothing before that can come again.

        Records below it belong to messages taken by now. Once those are acknowledged and the broker has handled the
        acknowledgements (PINGRESP), none of them can be delivered again. While the state is undecided nothing was
        taken, and the PINGRESP proves that nothing is to be delivered again: the broker would have begun with it.

        Returns how many messages of the connection the note covers. Raises `KafkaException`.
        """
        state = flow.state
        ends = await asyncio.to_thread(self._notes.ends)
        taken = flow.taken
        await flow.acknowledged(taken)
        await link.ping()
        if flow.state is state:  # else redelivery began in between
            await asyncio.to_thread(self._notes.write, ends)
            metrics.NOTE_SECONDS.labels(flow.books.shard).set_to_current_time()
        return taken
