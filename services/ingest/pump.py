"""Messages to Kafka; PUBACK, in order, once delivered; what is delivered again after a crash is absorbed.

Why nothing is lost or doubled. A message is acknowledged towards the broker only after Kafka has acknowledged its
records, in the order of arrival, so the broker keeps whatever a crash interrupts and sends it again: first, in order,
with DUP=1 and the same packet id. A message with DUP=0 was never sent to us before and is never filtered. For one with
DUP=1, its record may be in Kafka; if so, it is not below the note (`keeper`) and not above the settled end of the
topics, so the tail between the two (`notes`) holds it and the filter (`resume`) absorbs the message. Per device the
order stays: the idempotent producer leaves a prefix in each partition, and redelivery continues in order.

Why two holders of one session cannot spoil that. Messages are taken only within the `tenure`, so what a process that
was frozen finds in its socket counts for nothing. Whatever it writes into the note is an end of the topics from before
its successor connected: each place is asked for before the broker shows that the session is still ours, and a note that
is too low only makes a tail longer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import KafkaException

from libs.runtime import logs
from libs.runtime.mqtt.session import Link, Lost

from . import metrics
from .books import Account, Books
from .entries import Entry, Order, acknowledgements
from .outlet import Outlet, now_ms
from .resume import Filter
from .state import Limits, State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mqtt5 import PublishPacket

    from .keeper import Keeper
    from .model import Record
    from .notes import Ends, Notes
    from .tenure import Tenure
    from .watch import Watch

log = logs.get(__name__)
T = TypeVar("T")


class Pump:
    """The receiver of the MQTT session.

    ``started``: records that tell that the source of connection events began anew, by (time, packet id, now); None
    where the session hears no source, or where ``watch`` reads the broker's list of clients instead.
    ``failed``: called with a sentence when a record can never be delivered; the process must end.
    ``given_up``: called when nothing more may go to Kafka from here: all that waits for it must be dropped at once, and
    the connection cut, so that the broker delivers it again to whoever holds the session then.
    """

    def __init__(
        self,
        outlet: Outlet,
        notes: Notes,
        keeper: Keeper,
        books: Books,
        *,
        tenure: Tenure,
        started: Callable[[int, int, int], tuple[Record, ...]] | None,
        failed: Callable[[str], None],
        given_up: Callable[[], None],
        limits: Limits,
        watch: Watch | None = None,
    ) -> None:
        self._outlet, self._notes, self._keeper, self._limits = outlet, notes, keeper, limits
        self._tenure, self._started, self._failed, self.books = tenure, started, failed, books
        self._given_up, self._watch = given_up, watch
        self._puback = metrics.PUBACK_SECONDS.labels(books.shard)
        self._order = Order()
        self._orphans: list[Entry] = []  # of a connection that was lost: delivered some time, acknowledged never
        self._reads: deque[tuple[int, float]] = deque()  # (messages taken by the end of a read, when)
        self._barrier: tuple[int, asyncio.Future[None]] | None = None
        self._link: Link | None = None
        self._ends: Ends = {}  # before this connection began
        self._note: Ends = {}  # as it was then
        self._owes = False  # what a lost session means is not told yet
        self._leaving = False  # nothing more is taken
        self._filter = Filter()
        self._held: list[PublishPacket] = []
        self._tick: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._acked = 0
        self.taken = 0
        """Messages of this connection."""
        self.state = State.CLOSED
        self.noted = False
        """A note exists."""

    @property
    def in_flight(self) -> int:
        return len(self._order) + len(self._orphans)

    @property
    def waiting(self) -> int:
        """`in_flight`, and what is held back until the tail is read."""
        return self.in_flight + len(self._held)

    @property
    def holds_back(self) -> bool:
        """Whether messages came, or may have come, that are not with the producer."""
        return self.state is State.LOADING or self._leaving or self._tenure.over()

    # -- the session's receiver

    async def prepare(self) -> None:
        """Before CONNECT: nothing of an earlier connection is under way any more, and a note exists."""
        while len(self._outlet):
            self._outlet.producer.poll(0)
            await asyncio.sleep(0.01)
        self.give_back()
        self._ends = ends = await self._ask(self._notes.ends)
        note = await self._ask(self._notes.read)
        if note is None:
            await self._ask(lambda: self._notes.write(ends))
        self._note, self._owes = note or ends, self._owes or self._notes.opening
        self._refuse_if_over()
        self.noted = True

    async def opened(self, link: Link, *, session_present: bool) -> None:
        self._refuse_if_over()
        self._owes |= not session_present
        if self._owes:
            await self._begin_anew(now_ms(), noted=session_present and self._notes.opening)
        self._link, self._filter = link, Filter()
        self.state = State.UNDECIDED if session_present else State.LIVE
        self.taken, self._acked, self._leaving = 0, 0, False
        self._reads.clear()
        self._spawn(self._keeper.keep(link, self))
        if self._watch:
            self._spawn(self._watch.watch(link, self))

    def receive(self, packets: list[PublishPacket]) -> None:
        if self._leaving:
            return
        if self._tenure.over():
            self._give_up("too long without a proof that the shard is still held here")
            return
        try:
            if self.state is State.LIVE:
                self._take(packets)
            else:
                self._resume(packets)
        except BufferError:  # a queue that is larger than the window can only be full of marks and broadcasts
            self._lose("the producer's queue is full")
        except KafkaException as error:
            self._failed(f"Kafka takes no more records: {error}")
        if self._tenure.over():  # frozen while it took them: the producer has them for some milliseconds
            self._give_up("too long without a proof that the shard was held here")
            return
        self._reads.append((self.taken, time.monotonic()))
        self.turn()
        if self._link:
            self._brake(self._link, len(packets))

    async def leaving(self, link: Link) -> None:
        """Acknowledge what reaches Kafka in time, move the note, tell the broker, drop the rest unacknowledged."""
        until = time.monotonic() + self._limits.stop
        self._leaving = True
        whole = self.state is State.LIVE
        while self._order and not self._order.refused and not link.ended.done() and time.monotonic() < until:
            self.turn()
            await asyncio.sleep(0.005)
        if whole and not self._order and not link.ended.done():
            ends = await self._ask(self._notes.ends)
            link.resume("window")
            pong = link.ping()  # answered: the broker has handled every acknowledgement
            await asyncio.wait([pong], timeout=max(1.0, until - time.monotonic()))
            if pong.done() and not pong.cancelled():
                await self._ask(lambda: self._notes.write(ends))
        await link.leave(max(1.0, until - time.monotonic()))

    def closed(self) -> None:
        self._link, self.state = None, State.CLOSED
        self._orphans += self._order.take_all()
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    def give_back(self) -> None:
        """Close the accounts of what an ended connection left, once nothing of it is under way any more."""
        self._settle(self._orphans)
        self._orphans = []

    def _brake(self, link: Link, read: int) -> None:
        """Stop reading at the window; before it, rest after small reads, since many small requests tire Kafka."""
        under_way, limits = self._under_way(), self._limits
        if under_way > limits.window:
            link.pause("window")
        elif under_way > limits.busy and read < limits.full:
            link.pause("company")
            asyncio.get_running_loop().call_later(limits.rest, link.resume, "company")

    # -- the two paths of a message

    def _take(self, packets: list[PublishPacket]) -> None:
        before = len(self._order)
        try:
            self._outlet.take(packets, self._order.add, now_ms())
        finally:  # what was added before an error counts
            self._count(len(self._order) - before)

    def _resume(self, packets: list[PublishPacket]) -> None:
        """Until the first QoS 1 message with DUP=0: the broker sends everything again before anything new."""
        if self.state is State.LOADING:
            self._held += packets
            return
        for i, packet in enumerate(packets):
            if packet.packet_id is None:  # QoS 0 may come in between
                self._take([packet])
            elif not packet.duplicate:
                self.state, self._filter = State.LIVE, Filter()
                self._take(packets[i:])
                return
            elif self.state is State.UNDECIDED:
                self._hold(packets[i:])
                return
            else:
                self._order.add(self._outlet.take_again(packet, self._filter, now_ms()))
                self._count(1)

    def _count(self, messages: int) -> None:
        self.taken += messages
        self.books.received += messages

    def _hold(self, packets: list[PublishPacket]) -> None:
        assert self._link
        self.state, self._held = State.LOADING, packets
        self._link.pause("tail")
        self._spawn(self._load(self._link))

    async def _load(self, link: Link) -> None:
        self._filter = await asyncio.to_thread(self._notes.tail, self._limits.quiet)
        metrics.TAIL_RECORDS.labels(self.books.shard).set(self._filter.size)
        if link is self._link:
            self.state, held, self._held = State.FILTER, self._held, []
            self.receive(held)
            link.resume("tail")

    # -- acknowledgement

    def turn(self) -> None:
        """Serve delivery reports, acknowledge the delivered prefix, come back while something is under way."""
        self._outlet.producer.poll(0)
        if self._link and (done := self._order.take_done()):
            self._acknowledge(self._link, done)
        if self._order.expired:
            self._give_up("Kafka took a record neither in time nor for good")
        elif self._order.refused:
            self._failed("Kafka refused a record for good")
        under_way = self._under_way()
        if self._link and self._link.paused and under_way < self._limits.window // 2 + 1:
            self._link.resume("window")
        if self._tick is None and under_way:
            self._tick = asyncio.get_running_loop().call_later(self._limits.poll, self._turn_again)

    def _turn_again(self) -> None:
        self._tick = None
        self.turn()

    def _under_way(self) -> int:
        """The larger of messages and records: marks and broadcasts are records of their own."""
        return max(len(self._order), len(self._outlet))

    def _acknowledge(self, link: Link, done: list[Entry]) -> None:
        self._settle(done)
        acks = acknowledgements(done)
        link.write(acks)
        self.books.acknowledged += len(acks) // 4
        self._acked += len(done)
        while self._reads and self._reads[0][0] <= self._acked:  # one observation per read: its last message's
            self._puback.observe(time.monotonic() - self._reads.popleft()[1])
        if self._barrier and self._acked >= self._barrier[0]:
            self._barrier[1].set_result(None)
            self._barrier = None

    def _settle(self, done: list[Entry]) -> None:
        settled = self.books.settled
        for entry in done:
            settled[entry.account if not entry.left else Account.RETURNED] += 1

    async def acknowledged(self, count: int) -> None:
        """Return when the first ``count`` messages of this connection are acknowledged. One caller at a time."""
        if self._acked < count:
            barrier: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._barrier = count, barrier
            try:
                await barrier
            finally:
                self._barrier = None

    # -- helpers

    def _refuse_if_over(self) -> None:
        if self._tenure.over():
            raise Lost("another replica may hold the shard by now")

    def _give_up(self, reason: str) -> None:
        if not self._leaving:
            log.warning("given_up", reason=reason, shard=self.books.shard)
            self._leaving = True
            self._given_up()

    async def _begin_anew(self, now: int, *, noted: bool) -> None:
        """The broker lost the session: nothing can come again, and what the sources said in between is lost.

        From CONNACK on it knows the next session, and will not say so a second time. So this is owed until all of it
        is done, whatever breaks it off; for the next process, should this one be killed, the note says so. ``now``: of
        the last CONNACK, since nothing is subscribed to before this is done. ``noted``: the note was moved already.
        """
        if self._watch:
            self._watch.missed()
        note, started = self._note if noted else self._ends, self._started
        if not noted:
            await self._ask(lambda: self._notes.write(note, opening=started is not None))
        if started:
            self._refuse_if_over()
            await self._begin_source(started((now // 1000 - 1) * 1000, 0, now), now)  # its second may be the one before
        if started or noted:
            await self._ask(lambda: self._notes.write(note))
        self._owes = False

    async def _begin_source(self, records: tuple[Record, ...], now: int) -> None:
        entry = self._outlet.send(0, records, now)
        self.books.extra += len(records)
        while entry.left > 0:
            self._outlet.producer.poll(0)
            await asyncio.sleep(0.005)
        if entry.left < 0:
            raise Lost("Kafka did not take the start of the source")

    @staticmethod
    async def _ask(call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except KafkaException as error:  # not ready yet, or away: the session tries again
            raise Lost(f"Kafka: {error}") from error

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._lose(f"{type(error).__name__}: {error}")

    def _lose(self, reason: str) -> None:
        """Everything unacknowledged comes again on the next connection."""
        if self._link:
            self._link.end(Lost(reason))
