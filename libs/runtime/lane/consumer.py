"""Slices in, contiguous ranges acknowledged.

Yields one `SliceMessage` per slice of an inbox, feeds changelog slices straight to recovery, and leaves every other
topic on Faust's per-message path. Nothing is taken out of order: where a fetch or a slice does not continue what was
taken, it is left and fetched again. Membership lost with slices in flight ends the process.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.utils.futures import notify

from . import checks
from .continuity import Continuity
from .fail import die, log
from .fetch import SliceThread
from .ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from .part import Record

SEEK_ERRORS = (KafkaError, KafkaException, AssertionError, TimeoutError)
"""What a seek raises while a rebalance is under way, which seeks again itself."""

RECOVERY_SLICE = 5000
"""Changelog records applied without yielding to the event loop."""


class SliceMessage(ConsumerMessage):
    """One slice of one partition. ``offset`` is the last one, which keeps Faust's read-offset logic true."""

    records: list[Record]
    previous: int


class SliceConsumer(driver.Consumer):
    app: Any  # LaneApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ranges = Ranges()
        self._continuity = Continuity()
        self._holes: list[tuple[TP, int, int]] = []  # passed over, not looked into: from an offset to the next one
        self.cycles = 0  # completed fetches: everything handed out before was applied or delivered

    # -- fetch
    def _new_consumer_thread(self) -> SliceThread:
        return SliceThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        async for item in self._slices(timeout):
            yield item
        self.cycles += 1

    async def _slices(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - passed on
        await self._room()
        await self._tell_lost()
        assignment = self.assignment()
        self._continuity.begin(assignment)
        await self._seek_again(assignment)
        fetched, active = await self._wait_next_records(timeout)
        self._continuity.end(map(ensure_TP, fetched or ()))
        if fetched is None or self.should_stop or await self._rewound():
            return
        plain: dict[TP, list[Any]] = {}
        for tp, records in self._wanted(fetched, active):
            if tp.topic not in self.app.inboxes and tp.topic not in self.app.tables.changelog_topics:
                plain[tp] = records
                self._continuity.took(tp)
            elif self._follows(tp, records):
                async for message in self._take(tp, records):
                    yield tp, message
        for tp, record in self.scheduler.iterate(plain):
            if not self.flow_active:
                return
            yield tp, self._to_message(tp, record)

    async def _take(self, tp: TP, records: list[Record]) -> AsyncIterator[SliceMessage]:
        """Yield an inbox's slices, give a changelog's to recovery; in a rebalance what is left stays doubtful."""
        generation = self.app.consumer_generation_id
        inbox = tp.topic in self.app.inboxes
        size = self.app.slice_size if inbox else RECOVERY_SLICE
        for start in range(0, len(records), size):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            some = records[start : start + size]
            if inbox:
                yield self._slice(tp, some, generation)
            else:
                self.app.tables.recovery.apply(tp, some)
                await asyncio.sleep(0)
        self._continuity.took(tp)

    def _wanted_next(self, tp: TP) -> int | None:
        """Return the offset that should be taken next; None: the partition is not ours, or not sought yet."""
        if tp.topic in self.app.inboxes:
            return self.ranges.tail(tp)
        return self.app.tables.recovery.next_offset(tp)

    def _follows(self, tp: TP, records: list[Record]) -> bool:
        """Check that the records continue what was taken; where they do not, they are fetched again."""
        wanted = self._wanted_next(tp)
        if wanted is None or records[-1].offset < wanted:
            return False
        inbox, first = tp.topic in self.app.inboxes, records[0].offset
        follows = self._continuity.follows(tp, first, wanted, sparse=not inbox)
        if follows and inbox and first > wanted:
            self._holes.append((tp, wanted, first))
        return follows

    async def _tell_lost(self) -> None:
        """Look into holes that were passed over: what lies before the log's beginning was deleted before it was folded.

        Other holes are a transaction's markers.
        """
        while self._holes:
            tp, wanted, first = self._holes[0]
            try:
                beginnings = await self.earliest_offsets(tp)
            except SEEK_ERRORS as error:
                log.warning("cannot ask for the beginning of %s-%d: %r", tp.topic, tp.partition, error)
                return
            self._holes.pop(0)
            lost = min(beginnings[tp], first) - wanted
            if lost > 0:
                log.error(
                    "LOST: records %d to %d of %s-%d were deleted before they were folded: its retention is too short",
                    wanted,
                    wanted + lost - 1,
                    tp.topic,
                    tp.partition,
                )
                for lane in self.app.lanes.values():
                    if lane.inbox == tp.topic:
                        lane.counters.lost += lost

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """Ask beside the consumer's connection: there the answer waits for a fetch, which waits 1.5 s for records."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, checks.beginnings, self.app.admin, partitions)
        return {TP(*one): offset for one, offset in found.items()}

    async def _seek_again(self, assignment: set[TP]) -> None:
        """Seek back where something was fetched and not taken."""
        known = {tp: self._wanted_next(tp) for tp in map(ensure_TP, self._continuity.doubtful()) if tp in assignment}
        offsets = {tp: offset for tp, offset in known.items() if offset is not None}
        if not offsets:
            return
        log.info("fetching again", extra={"from": {f"{tp.topic}-{tp.partition}": at for tp, at in offsets.items()}})
        try:
            await self.seek_wait(offsets)
        except SEEK_ERRORS as error:
            log.warning("seek during a rebalance: %r", error)
        else:
            self._continuity.sought(offsets)

    async def _room(self) -> None:
        """Wait while too much is in flight. Faust's pressure callbacks would sleep 1 s with every partition full."""
        while self.ranges.backlog() > self.app.max_backlog and self.flow_active and not self.should_stop:  # noqa: ASYNC110 - brief
            await asyncio.sleep(0.001)

    def _wanted(self, fetched: Mapping[Any, list[Any]], active: set[TP] | None) -> Iterator[tuple[TP, list[Any]]]:
        """Yield what was fetched for partitions that Faust still wants, as it does itself."""
        for fetched_tp, records in fetched.items():
            tp = ensure_TP(fetched_tp)
            if active is None or tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.known_highwater(tp))
                yield tp, records

    def _slice(self, tp: TP, records: list[Record], generation: int) -> SliceMessage:
        last: Any = records[-1]
        message = SliceMessage(
            tp.topic,
            tp.partition,
            last.offset,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            headers=None,
            key=None,
            value=None,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation,
        )
        message.records = records
        message.previous = self.ranges.hand_out(tp, records)
        return message

    async def _rewound(self) -> bool:
        """With the flow stopped, drop what was fetched: seek back to what the streams have read."""
        if self.flow_active:
            return False
        try:
            await self.perform_seek()
        except SEEK_ERRORS as error:
            log.warning("seek while the flow is inactive: %r", error)
        return True

    async def perform_seek(self) -> None:
        """Seek inboxes to what is committed, or to their beginning; what is handed out must continue from there.

        Only what is assigned: a seek that a rebalance overtook leaves partitions behind that went to others, and to
        seek one of those is an error, which Faust's recovery takes for the next rebalance and waits for it.
        """
        await super().perform_seek()
        assigned = self.assignment()
        for tp in self._read_offset.keys() - assigned:
            del self._read_offset[tp]
        self.ranges.keep(assigned)
        sought = {tp: offset for tp, offset in self._read_offset.items() if ensure_TP(tp).topic in self.app.inboxes}
        fresh = [tp for tp, offset in sought.items() if not offset]
        if fresh:  # without a commit aiokafka leaves the position where it is
            beginnings = await self.earliest_offsets(*fresh)
            await self.seek_wait(beginnings)
            sought |= beginnings
        for tp, offset in sought.items():
            self.ranges.seek(ensure_TP(tp), offset)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.app.inboxes:  # a slice spans many offsets; that is not a gap
            await super()._add_gap(tp, offset_from, offset_to)

    # -- acknowledge
    def begin(self, message: SliceMessage) -> Sequence[Record] | None:
        """Register a slice (in order) and return the records that were not handed to the lane before.

        None: the slice before it got lost on its way through the stream, which drops what it holds in a rebalance.
        This one is given up as well, and both are fetched again.
        """
        records = self.ranges.begin(message)
        if records is None:
            log.warning("a slice was lost before %s@%s", message.tp, message.records[0].offset)
            self._continuity.doubt(message.tp)
            self.forget(message)
        else:
            self._unacked_messages.add(message)
        return records

    def forget(self, message: SliceMessage) -> None:
        """Stop waiting for a slice that was given up; its offsets stay uncommitted."""
        self._unacked_messages.discard(message)

    def ack(self, message: Any) -> bool:
        if not isinstance(message, SliceMessage):
            acked: bool = super().ack(message)
            return acked
        self.ranges.acknowledge(message)
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    def lag(self, inbox: str) -> int:
        """Count the records of an inbox's owned partitions that are not acknowledged, as fetches and Kafka tell."""
        ends = self.app.health.watch.ends
        return self.ranges.lag(lambda tp: max(self.known_highwater(tp), ends.get(tp, 0)), inbox)

    def known_highwater(self, tp: Any) -> int:
        """Return a partition's end as of its last fetch; 0: not known."""
        try:
            return self.highwater(TP(*tp)) or 0
        except (AssertionError, AttributeError):  # a rebalance in the consumer's thread takes the assignment away
            return 0

    # -- commit
    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        yield from (TP(*tp) for tp in self.ranges.touched() if topics is None or tp in topics or tp[0] in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self.ranges.committable(tp) if tp.topic in self.app.inboxes else super()._new_offset(tp)

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,
    ) -> bool:
        before = {tp: self._committed_offset[tp] for tp in offsets}
        committed: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if committed:
            for lane in self.app.lanes.values():
                lane.on_commit(self._committed)
        else:  # Faust advances its bookkeeping even if the commit failed (its issues 316 and 692)
            self._committed_offset.update(before)
        return committed

    def _committed(self, topic: str, partition: int) -> int | None:
        return self._committed_offset.get(TP(topic, partition))

    # -- rebalance and stop
    async def wait_empty(self) -> None:
        for lane in self.app.lanes.values():
            lane.abandon()
        await self.app.lane_producer.drain()
        await super().wait_empty()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop the flow, wait until nothing is in flight, commit; then forget what was acknowledged."""
        lost = self._thread._ensure_consumer()._coordinator.generation < 0  # noqa: SLF001 - no public way to ask
        if lost and self._unacked_messages:
            die(
                "membership lost with %d slices in flight: another worker may own the partitions",
                len(self._unacked_messages),
            )
        await super().on_partitions_revoked(revoked)
        self.ranges.reset()  # what is left was cleared from the stream queues
        for lane in self.app.lanes.values():
            lane.reset()
