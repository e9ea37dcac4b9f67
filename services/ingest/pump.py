"""Messages to Kafka; PUBACK, in order, once delivered; what is delivered again after a crash is absorbed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from libs.runtime import logs
from libs.runtime.mqtt.session import Link, Lost
from libs.topics.codec import encode
from libs.topics.identity import split_key
from libs.topics.messages.presence import TrafficSeen
from libs.topics.names import PRESENCE_INBOX

from . import letters, meters
from .books import Account, Books
from .model import Dropped, Letter, Parsed
from .resume import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import mqtt5

    from .activity import Activity
    from .notes import Notes

log = logs.get(__name__)
T = TypeVar("T")
ACKS: Final = (b"", *(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1, 65_536)))
"""PUBACK by packet id; a QoS 0 message has packet id 0 here, and nothing is said about it."""
_SILENT: Final = frozenset((PRESENCE_INBOX, letters.TOPIC))
"""Records for these do not show that a device sent something."""


class State(Enum):
    CLOSED = 0
    UNDECIDED = 1
    """Session resumed, no QoS 1 message seen yet."""
    LOADING = 2
    """The tail is being read; messages wait."""
    FILTER = 3
    """Messages with DUP=1 go through the filter."""
    LIVE = 4


class Entry:
    """A message under way; its own delivery callback, which is the cheapest form measured."""

    __slots__ = ("account", "left", "packet_id")

    def __init__(self, packet_id: int, account: Account, left: int) -> None:
        self.packet_id, self.account = packet_id, account
        self.left = left
        """Records not delivered yet; below 0: one never will be."""

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.left -= 1
        else:
            self.left = -1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds."""

    window: int = 10_000
    poll: float = 0.001
    """Pause between two looks at delivery reports while something is under way: 5 ms is not cheaper."""
    checkpoint: float = 2.0
    checkpoint_every: int = 20_000
    """Messages. Packet ids tell messages apart within 65,535 deliveries only: the tail should stay well below that."""
    idle_checkpoint: float = 30.0
    quiet: float = 0.25
    stop: float = 10.0


class Pump:
    """The receiver of the MQTT session.

    ``started``: the records that tell that the source of connection events began anew, by (time, packet id, now).
    ``failed``: called with a sentence when a record can never be delivered; the process must end.
    """

    def __init__(
        self,
        producer: Producer,
        parse: Callable[[str, bytes, int, int], Parsed],
        started: Callable[[int, int, int], Parsed],
        notes: Notes,
        activity: Activity,
        limits: Limits,
        failed: Callable[[str], None],
    ) -> None:
        self._producer, self._parse, self._started, self._failed = producer, parse, started, failed
        self._notes, self._activity, self._limits = notes, activity, limits
        self._order: deque[Entry] = deque()
        self._orphans: list[Entry] = []  # of a connection that was lost; they are delivered, but not acknowledged
        self._reads: deque[tuple[int, float]] = deque()  # (messages taken by the end of a read, when)
        self._link: Link | None = None
        self._state, self._filter = State.CLOSED, Filter()
        self._held: list[mqtt5.PublishPacket] = []
        self._tick: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken = self._acked = self._noted = 0  # of this connection
        self.books = Books()
        self.noted = False
        """A note exists."""

    @property
    def in_flight(self) -> int:
        return len(self._order) + len(self._orphans)

    # -- the session's receiver

    async def prepare(self) -> None:
        """Before CONNECT: nothing of an earlier connection is under way any more, and a note exists."""
        while len(self._producer):
            self._producer.poll(0)
            await asyncio.sleep(0.01)
        self._settle(self._orphans)
        self._orphans = []
        if await self._ask(self._notes.read) is None:
            await self._ask(self._notes.renew)
        self.noted = True

    async def opened(self, link: Link, *, session_present: bool) -> None:
        if not session_present:  # nothing can come again, and whatever the source said in between is lost
            await self._ask(self._notes.renew)
            await self._begin_source()
        self._link, self._filter = link, Filter()
        self._state = State.UNDECIDED if session_present else State.LIVE
        self._taken = self._acked = self._noted = 0
        self._reads.clear()
        self._spawn(self._checkpoints(link))

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        if self._state is State.LIVE:
            self._take(packets)
        else:
            self._resume(packets)
        self._reads.append((self._taken, time.monotonic()))
        self.turn()
        if self._link and max(len(self._order), len(self._producer)) > self._limits.window:
            self._link.pause("window")

    async def leaving(self, link: Link) -> None:
        """Acknowledge what reaches Kafka in time, tell the broker, move the note, drop the rest unacknowledged."""
        until = time.monotonic() + self._limits.stop
        link.discard = True
        whole = self._state is State.LIVE
        while self._order and self._order[0].left >= 0 and not link.ended.done() and time.monotonic() < until:
            self.turn()
            await asyncio.sleep(0.005)
        ends = await self._ask(self._notes.ends) if whole and not self._order else None
        if await link.leave(max(1.0, until - time.monotonic())) and ends is not None:
            await self._ask(lambda: self._notes.write(ends))

    def closed(self) -> None:
        self._link, self._state = None, State.CLOSED
        self._orphans += self._order
        self._order.clear()
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    # -- the two paths of a message

    def _take(self, packets: list[mqtt5.PublishPacket]) -> None:
        parse, send, add = self._parse, self._send, self._order.append
        now, before = _now(), len(self._order)
        try:
            for packet in packets:
                packet_id = packet.packet_id or 0
                add(send(packet_id, parse(packet.topic, packet.payload, packet_id, now), now))
        finally:  # a full producer ends the connection; what was added before that counts
            taken = len(self._order) - before
            self._taken += taken
            self.books.received += taken

    def _send(self, packet_id: int, parsed: Parsed, now: int) -> Entry:
        if type(parsed) is Dropped:
            meters.DROPPED.labels(parsed.reason).inc()
            return Entry(packet_id, Account.DROPPED, 0)
        assert type(parsed) is tuple
        first = parsed[0]
        if type(first) is Letter:
            meters.LETTERS.labels(first.reason).inc()
            entry = Entry(packet_id, Account.DEAD_LETTERED, 1)
        else:
            entry = Entry(packet_id, Account.PRODUCED, len(parsed))
        produce = self._producer.produce
        for record in parsed:
            produce(record.topic, record.value, record.key, record.partition, entry)
        if first.topic not in _SILENT and first.key and self._activity.due(first.key, now):
            self._mark(first.key, now)
        return entry

    def _mark(self, key: bytes, now: int) -> None:
        product_id, device_id = split_key(key)
        self._producer.produce(PRESENCE_INBOX, encode(TrafficSeen(product_id, device_id, now)), key)
        self.books.extra += 1

    def _resume(self, packets: list[mqtt5.PublishPacket]) -> None:
        """Until the first QoS 1 message with DUP=0: the broker sends everything again before anything new."""
        if self._state is State.LOADING:
            self._held += packets
            return
        for i, packet in enumerate(packets):
            if packet.packet_id is None:  # QoS 0 may come in between
                self._take([packet])
            elif not packet.duplicate:
                self._state, self._filter = State.LIVE, Filter()
                self._take(packets[i:])
                return
            elif self._state is State.UNDECIDED:
                self._state, self._held = State.LOADING, packets[i:]
                assert self._link
                self._link.pause("tail")
                self._spawn(self._load(self._link))
                return
            else:
                self._take_again(packet, packet.packet_id)

    def _take_again(self, packet: mqtt5.PublishPacket, packet_id: int) -> None:
        """Produces those records that are not in Kafka yet; each copy of a broadcast is looked up by itself."""
        now = _now()
        parsed = self._parse(packet.topic, packet.payload, packet_id, now)
        if type(parsed) is tuple:
            parsed = tuple(record for record in parsed if not self._filter.absorb(record.value))
        entry = self._send(packet_id, parsed, now) if parsed else Entry(packet_id, Account.ABSORBED, 0)
        self._order.append(entry)
        self._taken += 1
        self.books.received += 1

    async def _load(self, link: Link) -> None:
        self._filter = await asyncio.to_thread(self._notes.tail, self._limits.quiet)
        meters.TAIL_RECORDS.set(self._filter.size)
        if link is self._link:
            self._state, held, self._held = State.FILTER, self._held, []
            self.receive(held)
            link.resume("tail")

    # -- acknowledgement

    def turn(self) -> None:
        """Serve delivery reports, acknowledge the delivered prefix, come back while something is under way."""
        self._producer.poll(0)
        order, link = self._order, self._link
        if order and not order[0].left and link:
            done, take = [], order.popleft
            while order and not order[0].left:
                done.append(take())
            self._acked += len(done)
            self._settle(done)
            acks = b"".join([ACKS[entry.packet_id] for entry in done])
            link.write(acks)
            self.books.acknowledged += len(acks) // 4
            self._measure()
        if order and order[0].left < 0:
            self._failed("Kafka refused a record for good")
        under_way = max(len(order), len(self._producer))
        if link and link.paused and under_way < self._limits.window // 2 + 1:
            link.resume("window")
        if self._tick is None and under_way:
            self._tick = asyncio.get_running_loop().call_later(self._limits.poll, self._turn_again)

    def _turn_again(self) -> None:
        self._tick = None
        self.turn()

    def _settle(self, done: list[Entry]) -> None:
        settled = self.books.settled
        for entry in done:
            settled[entry.account] += 1

    def _measure(self) -> None:
        """One observation per read: its last message's."""
        while self._reads and self._reads[0][0] <= self._acked:
            meters.PUBACK_SECONDS.observe(time.monotonic() - self._reads.popleft()[1])

    # -- the note

    async def _checkpoints(self, link: Link) -> None:
        """At once when the redelivered messages are through, then by time and by count; seldom while idle.

        Idle, it keeps the tail short where other services write to the same topics, and Kafka from forgetting it.
        """
        limits, last = self._limits, 0.0
        while True:
            await asyncio.sleep(0.1)
            new, since = self._taken - self._noted, time.monotonic() - last
            due = new >= limits.checkpoint_every or since >= (limits.checkpoint if new else limits.idle_checkpoint)
            if due and self._state in (State.LIVE, State.UNDECIDED):
                try:
                    await self._checkpoint(link)
                except KafkaException as error:  # the note only stays behind; the connection must outlive Kafka
                    log.warning("checkpoint_failed", error=str(error))
                last = time.monotonic()

    async def _checkpoint(self, link: Link) -> None:
        """Move the note to the present end of the topics, once nothing before that can come again.

        Records below it belong to messages taken by now. Once those are acknowledged and the broker has handled the
        acknowledgements (PINGRESP), none of them can be delivered again. While the state is undecided nothing was
        taken, and the PINGRESP proves that there is nothing to deliver again: the broker would have begun with it.
        """
        state = self._state
        ends = await asyncio.to_thread(self._notes.ends)
        taken = self._taken
        while self._acked < taken:
            await asyncio.sleep(0.01)
        await link.ping()
        if self._state is state:
            await asyncio.to_thread(self._notes.write, ends)
            self._noted = taken
            meters.NOTE_SECONDS.set_to_current_time()

    # -- helpers

    async def _begin_source(self) -> None:
        """The broker knows no session: it lost it, and all it said since. Its second may be the one before ours."""
        now = _now()
        entry = self._send(0, self._started((now // 1000 - 1) * 1000, 0, now), now)
        while entry.left > 0:
            self._producer.poll(0)
            await asyncio.sleep(0.005)
        self.books.extra += 1

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
        if not task.cancelled() and (error := task.exception()) and self._link:
            self._link.end(Lost(f"{type(error).__name__}: {error}"))


def _now() -> int:
    return time.time_ns() // 1_000_000
