"""Readiness, liveness and ownership of a worker, and the hook for its counters."""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from mode import Service

from libs.runtime.health import Verdict

from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .app import LaneApp
    from .lane import Lane

Owners: TypeAlias = dict[str, frozenset[int]]
"""Table name to the partitions served here."""

SILENCE = 15.0
"""Seconds without an observation after which the event loop itself counts as stuck."""


class Health(Service):
    """Ready: assigned and recovered. Live: progress while there is lag."""

    def __init__(self, app: LaneApp, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app: Any = app
        self.on_owners: list[Callable[[Owners], None]] = []  # after every change; empty sets while a rebalance runs
        self.on_second: list[Callable[[Lane], None]] = []  # about once a second per lane
        self._owners: Owners = {}
        self.watch = Watch(app)
        self._ready = Verdict(ok=False, reason="starting")
        self._observed = time.monotonic()

    @property
    def owners(self) -> Owners:
        return {name: lane.reads.owned() for name, lane in self.app.lanes.items()}

    def ready(self) -> Verdict:
        """As of the last observation, so that any thread may ask."""
        return self._ready

    def live(self) -> Verdict:
        """Any thread may ask."""
        if time.monotonic() - self._observed > SILENCE:
            return Verdict(ok=False, reason="the event loop does not turn")
        if stuck := self.watch.stuck:
            return Verdict(ok=False, reason=stuck)
        return Verdict(ok=True)

    def owners_changed(self) -> None:
        """Tell listeners, if it is a change."""
        now = self.owners
        if now != self._owners:
            self._owners = now
            for call in self.on_owners:
                call(now)
        self.observe()

    def observe(self) -> None:
        self._observed = time.monotonic()
        if self.app.rebalancing:
            self._ready = Verdict(ok=False, reason="partitions are being assigned")
        elif not self.app.tables.actives_ready:
            self._ready = Verdict(ok=False, reason="rows are being recovered")
        else:
            self._ready = Verdict(ok=True)

    @Service.task
    async def _seconds(self) -> None:
        while not self.should_stop:
            await self.sleep(1.0)
            self.observe()
            for lane in self.app.lanes.values():
                for call in self.on_second:
                    call(lane)

    @Service.task
    async def _questions(self) -> None:
        while not self.should_stop:
            await self.sleep(self.watch.every)
            await self.watch.look(time.monotonic)
