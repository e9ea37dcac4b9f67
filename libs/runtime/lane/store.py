"""Faust's table and stores, holding `Part`s: rows live per changelog partition and leave with it."""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import faust
from faust.stores import memory, rocksdb

from .fail import die, log
from .part import Part
from .rocks import RocksPart, now, outdated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faust.types import TP

    from .lane import Lane


class PartStore:
    """Mixin over Faust's stores. Only settling and applying move the persisted offset."""

    _parts: dict[int, Part]
    table: Any  # LaneTable
    app: Any  # LaneApp

    def part(self, number: int) -> Part:
        try:
            return self._parts[number]
        except KeyError:
            part = self._parts[number] = self._new_part(number)
            return part

    def _new_part(self, number: int) -> Part:
        return Part(number, self.table.lane.new_index())

    def parts(self) -> list[Part]:
        return list(self._parts.values())

    def owned(self) -> set[int]:
        """Partitions this worker is active for (not standby)."""
        name = self.table.changelog_name
        return {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == name}

    def active_parts(self) -> list[Part]:
        owned = self.owned()
        return [part for number, part in self._parts.items() if number in owned]

    def persisted_offset(self, tp: TP) -> int | None:
        return self.part(tp.partition).offset

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Faust would move the offset on its own; see the class contract."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        mine = {tp.partition for tp in assigned if tp.topic == self.table.changelog_name}
        for number in set(self._parts) - mine:
            del self._parts[number]
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)  # type: ignore[misc] # a mixin

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002 - Faust passes it
        """Actives are complete: derive what is derived before the first event.

        Whatever goes wrong here ends the process: Faust waits for this call and never asks how it ended.
        """
        lane: Lane = self.table.lane
        try:
            await self._complete(lane, [self.part(tp.partition) for tp in active_tps])
        except Exception:  # noqa: BLE001 - ends the process
            log.exception("lane %s", self.table.name)
            die("lane %s cannot read its rows", self.table.name)

    async def _complete(self, lane: Lane, parts: list[Part]) -> None:
        if parts:
            await self.app.identify(lane)
        for part in parts:
            lane.recognise(part)
            part.complete(now())
            if not part.built:
                await part.build(lane.codec)

    def __iter__(self) -> Iterator[bytes]:
        return (key for part in self.active_parts() for key in part.keys())  # noqa: SIM118 - a Part is no dict

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, key: bytes) -> Any:
        row = self.table.lane.reads.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __contains__(self, key: Any) -> bool:
        return self.table.lane.reads.get(key) is not None


class MemoryStore(PartStore, memory.Store):
    def __post_init__(self) -> None:
        super().__post_init__()
        self._parts = {}


class RocksStore(PartStore, rocksdb.Store):
    offset_key = b"\0offset"  # reserved, as Faust's own is not: no inbox makes a row of this key

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts = {}

    def _new_part(self, number: int) -> Part:
        db = self._db_for_partition(number)
        if outdated(db, self.offset_key, now()):
            log.warning("rows of %s, partition %d, are too old on disk: recovered anew", self.table.name, number)
            del self._dbs[number]
            db.close()
            shutil.rmtree(self.partition_path(number))
            db = self._db_for_partition(number)
        return RocksPart(number, self.table.lane.new_index(), db, self.offset_key, self.table.cache_rows)

    async def stop(self) -> None:
        self._parts.clear()  # rocksdict closes a database when it is collected: drop every reference
        await super().stop()


class LaneTable(faust.Table):
    """Table whose only writer is a lane; values are framed rows."""

    cache_rows = 50_000  # per partition, rocksdb only
    lane: Lane

    @property
    def changelog_name(self) -> str:
        name: str = self.changelog_topic.get_topic_name()
        return name

    def _new_store_by_url(self, url: Any) -> Any:
        store = RocksStore if str(url).startswith("rocksdb") else MemoryStore
        return store(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )

    def on_key_set(self, key: Any, value: Any) -> None:  # noqa: ARG002 - Faust passes them
        raise TypeError("only the lane writes to this table")
