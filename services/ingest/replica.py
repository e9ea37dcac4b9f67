"""One replica of ingest: a bridge for every shard that the group assigns to it; a hot standby while there is none."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from libs.runtime import logs
from libs.runtime.health import Verdict
from libs.runtime.main import EXIT_CONFIG

from . import metrics
from .assignment import (
    Abort,
    Action,
    Assignment,
    End,
    Event,
    Lapsed,
    Lost,
    Over,
    Release,
    Revoked,
    Shards,
    Start,
    Stopping,
)
from .bridge import EXIT_REFUSED
from .group import Misfit

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from .bridge import Bridge
    from .group import Group
    from .tenure import Tenure

log = logs.get(__name__)

WATCH: Final = 0.1
"""Seconds between two looks whether the tenure is over. Nothing is taken after it in any case."""
GRACE: Final = 5.0
"""Seconds beyond ``stop`` after which a session that does not end in order is cut off, and a group that does not
answer is left without a word."""


class Replica:
    """``build``: makes the bridge of a shard. ``stop``: seconds that its orderly end may take.

    ``patience``: seconds for which the loop or the group's thread may stand still.
    """

    def __init__(
        self, build: Callable[[int], Bridge], group: Group, tenure: Tenure, *, stop: float, patience: float
    ) -> None:
        self._build, self._group, self._tenure = build, group, tenure
        self._limit, self._patience = stop + GRACE, patience
        self._assignment = Assignment()
        self._bridges: dict[int, Bridge] = {}
        self._waiting: list[tuple[Shards, Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop
        self._stopped, self._beat = False, time.monotonic()
        self._left = asyncio.Event()
        self._code = 0
        self._error: BaseException | None = None

    # -- health

    def live(self) -> Verdict:
        oldest = min(self._beat, self._group.beat)
        if time.monotonic() - oldest > self._patience:
            return Verdict(ok=False, reason="the event loop, or the group's thread, stands still")
        return self._first_fault([(shard, bridge.live()) for shard, bridge in self._bridges.copy().items()])

    def ready(self) -> Verdict:
        """A standby is ready: it has nothing to do, and could."""
        assigned, bridges = self._assignment.assigned, self._bridges.copy()
        if not self._group.joined:
            return Verdict(ok=False, reason="the group of replicas has no place for this one yet")
        if missing := sorted(assigned - bridges.keys()):
            return Verdict(ok=False, reason=f"shard {missing[0]}: its session has not begun")
        if not bridges:
            return Verdict(ok=True, reason="a standby: other replicas hold every shard")
        return self._first_fault([(shard, bridge.ready()) for shard, bridge in bridges.items()])

    @staticmethod
    def _first_fault(verdicts: list[tuple[int, Verdict]]) -> Verdict:
        fault = next(((shard, verdict) for shard, verdict in verdicts if not verdict), None)
        return Verdict(ok=True) if fault is None else Verdict(ok=False, reason=f"shard {fault[0]}: {fault[1].reason}")

    # -- life

    async def run(self) -> int:
        """Until told to stop (SIGTERM, SIGINT), refused, or beyond repair. Returns the process's exit code."""
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        watch = loop.create_task(self._watch())
        self._group.start(self)
        self._group.ended.add_done_callback(lambda _: loop.call_soon_threadsafe(self._group_ended))
        try:
            await self._left.wait()
        finally:
            watch.cancel()
        if self._error is not None:
            raise self._error
        return self._code

    def stop(self) -> None:
        """End every session in order, then leave the group."""
        if not self._stopped:
            self._stopped = True
            self._hear(Stopping())
            self._leave_if_idle()

    def tell(self, event: Event, released: Future[None] | None = None) -> None:
        """From the group's thread."""
        self._loop.call_soon_threadsafe(self._hear, event, released)

    async def _watch(self) -> None:
        while True:
            self._beat = time.monotonic()
            if self._assignment.sessions and self._tenure.over():
                self._hear(Lapsed())
            await asyncio.sleep(WATCH)

    # -- events and actions

    def _hear(self, event: Event, released: Future[None] | None = None) -> None:
        if released is not None and isinstance(event, Revoked | Lost):
            self._waiting.append((event.shards, released))
        for action in self._assignment.handle(event):
            self._carry_out(action, event)
        metrics.SHARDS.set(len(self._assignment.assigned))

    def _carry_out(self, action: Action, event: Event) -> None:
        cause = type(event).__name__.lower()
        match action:
            case Start(shard):
                log.info("shard_taken_up", shard=shard)
                self._begin(shard)
            case End(shard) if shard in self._bridges:
                log.info("shard_ends", shard=shard, cause=cause)
                self._bridges[shard].end()
                self._loop.call_later(self._limit, self._bridges[shard].abort)
            case Abort(shard) if shard in self._bridges:
                log.warning("shard_cut_off", shard=shard, cause=cause)
                self._bridges[shard].abort()
            case Release(shards):
                done = [future for waiting, future in self._waiting if waiting == shards]
                self._waiting = [pair for pair in self._waiting if pair[0] != shards]
                for future in done:
                    future.set_result(None)
                return
            case End() | Abort():  # its bridge could not be made
                return
        metrics.HANDOVERS.labels(str(shard), cause).inc()

    def _begin(self, shard: int) -> None:
        try:
            self._bridges[shard] = bridge = self._build(shard)
        except (KafkaException, OSError) as error:  # a client that refuses its options: no later start would differ
            self._error = self._error or error
            self._loop.call_soon(self._gone, shard)
        else:
            self._loop.create_task(bridge.run()).add_done_callback(partial(self._over, shard))

    def _over(self, shard: int, task: asyncio.Task[int]) -> None:
        del self._bridges[shard]
        if not task.cancelled():
            self._error = self._error or task.exception()
            self._code = self._code or (0 if task.exception() else task.result())
        self._gone(shard)

    def _gone(self, shard: int) -> None:
        self._hear(Over(shard))
        if self._error or self._code:
            self.stop()
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._stopped and not self._assignment.sessions:
            self._group.leave()
            if self._group.ended.done():
                self._left.set()
            else:
                self._loop.call_later(GRACE, self._left.set)

    def _group_ended(self) -> None:
        error = self._group.ended.exception()
        if isinstance(error, Misfit):
            log.critical("shards_do_not_fit", error=str(error))
            self._code = self._code or EXIT_CONFIG
        elif isinstance(error, KafkaException):  # such as another process with the same instance id
            log.critical("group_refused", error=str(error))
            self._code = self._code or EXIT_REFUSED
        else:
            self._error = self._error or error
        self.stop()
        self._leave_if_idle()
