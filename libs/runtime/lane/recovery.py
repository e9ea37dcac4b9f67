"""Recovery: Faust's schedule (highwaters, seeks, standbys, repeated rebalances), slices applied whole."""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service

from .fail import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faust.types import TP

    from .part import Record

STUCK = 2.0
"""Seconds without a changelog record before the tail is suspected to be compacted."""


class LaneRecovery(Recovery):
    app: Any  # LaneApp
    tp_to_table: Any
    _began = _progress = 0.0
    _applied = 0

    def next_offset(self, tp: TP) -> int | None:
        """Return the changelog offset that should come next; None for partitions that are not ours, or not yet."""
        offsets = self._offsets(tp)
        if offsets is None:
            return None
        seen = offsets.get(tp)
        return 0 if seen is None else seen + 1

    def apply(self, tp: TP, records: Sequence[Record]) -> None:
        """Take a fetched changelog slice; ignored for partitions that are not ours any more."""
        offsets = self._offsets(tp)
        if offsets is None:
            return
        seen = offsets.get(tp)
        if seen is not None and records[0].offset <= seen:
            records = [record for record in records if record.offset > seen]
        if records:
            self.tp_to_table[tp].data.part(tp.partition).apply(records)
            offsets[tp] = records[-1].offset
            self._applied += len(records)
            self._progress = time.monotonic()

    def _offsets(self, tp: TP) -> Any | None:
        if tp in self.active_tps:
            return self.active_offsets
        return self.standby_offsets if tp in self.standby_tps else None

    def lacking(self) -> dict[TP, tuple[int, int]]:
        """Return what is left to recover, by changelog partition: the next offset and the end."""
        if not self.in_recovery:
            return {}
        return {
            tp: (self.active_offsets[tp] + 1, self.active_highwaters[tp] + 1)
            for tp, left in self.active_remaining().items()
            if left > 0
        }

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        # A signal left over from before would end the recovery that begins now.
        self.signal_recovery_end.clear()
        self._began = self._progress = time.monotonic()
        self._applied = 0
        await super().on_rebalance(*args, **kwargs)

    def report(self) -> None:
        """Log what recovery took; the time begins with the assignment."""
        seconds = round(time.monotonic() - self._began, 3)
        log.info("rows are recovered", extra={"records": self._applied, "seconds": seconds})

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Watch for the end of recovery; in the place of Faust's loop over single events."""
        while not self.should_stop:
            await asyncio.sleep(0.02)
            if not self.in_recovery:
                self.signal_recovery_end.clear()
                if self.tables.actives_ready and not self.tables.standbys_ready and not self.standby_remaining_total():
                    self.tables.on_standbys_ready()
            elif self.app.flow_control.is_active():  # highwaters and offsets are built by now
                if not self.need_recovery():
                    self._set_recovery_ended()
                    self.signal_recovery_end.set()
                elif time.monotonic() - self._progress > STUCK:
                    await self._skip_compacted_tail()

    async def _skip_compacted_tail(self) -> None:
        """Trust the position where records below the highwater are gone (tombstones, retention, markers).

        It moves when the fetch thread hands records out, before they are applied, so it counts only after
        two more complete fetches left the partition unchanged.
        """
        consumer, generation = self.app.consumer, self._generation_id
        stuck = {
            tp: (await consumer.position(tp), self.active_offsets[tp])
            for tp, left in self.active_remaining().items()
            if left > 0
        }
        target = consumer.cycles + 2
        while consumer.cycles < target:
            await asyncio.sleep(0.05)
            if self.should_stop or not self.in_recovery or self._generation_id != generation:
                return
        for tp, (position, offset) in stuck.items():
            if position is not None and position > self.active_highwaters[tp] and self.active_offsets[tp] == offset:
                log.warning("%s ends in compacted offsets: %s to %s", tp, offset, position)
                self.active_offsets[tp] = self.active_highwaters[tp]


class LaneTableManager(TableManager):
    app: Any  # LaneApp
    _recovery: LaneRecovery | None

    @property
    def recovery(self) -> LaneRecovery:
        if self._recovery is None:
            self._recovery = LaneRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start at once; Faust gives modules 1 s to declare more tables, but ours are all there."""
        await self._update_channels()
        await self.recovery.start()

    def on_rebalance_start(self) -> None:
        super().on_rebalance_start()
        self.app.health.owners_changed()

    def on_actives_ready(self) -> None:
        super().on_actives_ready()
        self.recovery.report()
        self.app.health.owners_changed()
