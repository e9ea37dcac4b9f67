"""A whole installation in memory and in virtual time: broker, Kafka, and bridges that live and die.

The broker keeps one QoS 1 session as MQTT 5 wants it: unacknowledged messages are sent again, first, in order, with
DUP=1 and their packet ids. It handles what it is told only when a test lets it, and forgets what it has not handled
when a connection breaks. Kafka takes what a producer sends when a test lets it; of a killed producer's requests, any
first part may have arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import mqtt5

from libs.runtime.activity import Activity
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import Options
from services.ingest.books import Books
from services.ingest.connections import Observer
from services.ingest.keeper import Keeper
from services.ingest.outlet import Outlet
from services.ingest.parse import Parser
from services.ingest.pump import Pump
from services.ingest.resume import Filter
from services.ingest.state import Limits
from services.ingest.tenure import Tenure
from tests.support.mqtt_broker import Broker, publish
from tests.support.virtual_time import pass_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Producer

    from services.ingest.notes import Ends, Notes
    from services.ingest.watch import Watch

    Watching: TypeAlias = Callable[[Outlet, Books], Watch]

WINDOW = 8
BUSY = 3
"""Messages under way from which on reading rests."""
PARTITIONS = 2
EVERYTHING = 1_000_000_000


class Kafka:
    """Records per topic, in the order of their arrival, and the committed note."""

    def __init__(self) -> None:
        self.topics: dict[str, list[tuple[bytes | None, bytes, int]]] = {}
        self.note: Ends | None = None
        self.opening = False
        """The note's mark."""
        self.arrivals: list[bytes] = []
        """The values of all topics, in the order in which they were produced."""

    def ends(self) -> Ends:
        return {(topic, 0): len(records) for topic, records in self.topics.items()}

    def values(self, topic: str) -> list[bytes]:
        return [value for _, value, _ in self.topics.get(topic, [])]


class KafkaProducer:
    """In the place of confluent_kafka's."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.requests: deque[tuple[str, bytes, bytes | None, int, Any]] = deque()
        self.may_deliver = 0
        self._arrived = 0  # of the first requests: in Kafka, but the producer has not heard of it
        self.dead = False
        self.full_at = EVERYTHING
        self.error: object | None = None
        self.fault: Exception | None = None

    def __len__(self) -> int:
        return len(self.requests)

    def produce(
        self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1, on_delivery: Any = None
    ) -> None:
        if len(self.requests) >= self.full_at:
            raise BufferError
        if self.fault:
            raise self.fault
        self.requests.append((topic, value, key, partition, on_delivery))

    def poll(self, _timeout: float) -> None:
        while self.requests and self.may_deliver and not self.dead:
            self.may_deliver -= 1
            on_delivery = self._answer()
            if on_delivery is not None:
                on_delivery(self.error, None)

    def arrive(self, count: int) -> None:
        """The first ``count`` requests reach Kafka; its answers are still on their way."""
        for topic, value, key, partition, _ in list(self.requests)[self._arrived : count]:
            self._kafka.topics.setdefault(topic, []).append((key, value, partition))
            self._kafka.arrivals.append(value)
            self._arrived += 1

    def die(self, arrived: int) -> None:
        """The process is gone: the first ``arrived`` requests reach Kafka, and nobody hears of it."""
        self.arrive(arrived)
        self.requests.clear()
        self.dead = True

    def _answer(self) -> Any:
        if self.error is None:
            self.arrive(1)
        self._arrived = max(0, self._arrived - 1)
        return self.requests.popleft()[-1]


class KafkaNotes:
    """In the place of `services.ingest.notes.Notes`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.faults: list[Exception | None] = []
        """What becomes of the next calls; None: it works."""
        self.opening = False

    def read(self) -> Ends | None:
        self._fail()
        self.opening = self._kafka.opening
        return self._kafka.note

    def write(self, ends: Ends, *, opening: bool = False) -> None:
        self._fail()
        self._kafka.note, self._kafka.opening = dict(ends), opening

    def ends(self) -> Ends:
        self._fail()
        return self._kafka.ends()

    def tail(self, _quiet: float) -> Filter:
        found, note = Filter(), self._kafka.note or {}
        for topic in self._kafka.topics:
            found.add(self._kafka.values(topic)[note.get((topic, 0), 0) :])
        return found

    def _fail(self) -> None:
        if self.faults and (fault := self.faults.pop(0)):
            raise fault


class SessionBroker(Broker):
    """One persistent session. Asserts that acknowledgements come in order, and only for what Kafka holds."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__()
        self._kafka = kafka
        self.queue: deque[tuple[str, bytes]] = deque()
        self.in_flight: dict[int, tuple[str, bytes]] = {}
        self.unhandled: deque[mqtt5.Packet] = deque()
        self.handles_all = False
        self.subscribed = False
        self._packet_id = 0
        self._open = False

    def _answer(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnectPacket):
            self._open = True
            self.subscribed &= self.session_present
            super()._answer(packet)
            self.session_present = True  # from CONNACK on, whatever becomes of the connection
            for packet_id, (topic, payload) in self.in_flight.items():
                self.feed(publish(topic, payload, packet_id, duplicate=True))
            self.send()
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.handle(len(self.unhandled))
            self.lose()
        else:
            self.unhandled.append(packet)
            if self.handles_all:
                self.handle(1)

    def handle(self, count: int) -> None:
        for _ in range(min(count, len(self.unhandled))):
            packet = self.unhandled.popleft()
            if isinstance(packet, mqtt5.PubAckPacket):
                oldest = next(iter(self.in_flight))
                assert packet.packet_id == oldest, "acknowledged out of order"
                topic, _ = self.in_flight.pop(oldest)
                assert is_stored(self._kafka, topic, oldest), "acknowledged before Kafka has it"
                self.send()
            else:
                if isinstance(packet, mqtt5.SubscribePacket):
                    self.subscribed = True
                super()._answer(packet)

    def publish(self, topic: str, payload: bytes) -> None:
        assert self.subscribed, "nobody subscribed yet"
        self.queue.append((topic, payload))
        self.send()

    def send(self) -> None:
        while self._open and self.queue and len(self.in_flight) < WINDOW:
            self._packet_id = self._packet_id % 65_535 + 1
            self.in_flight[self._packet_id] = message = self.queue.popleft()
            self.feed(publish(*message, self._packet_id))

    def lose(self) -> None:
        self._open = False
        self.unhandled.clear()
        self.pipe.lose(ConnectionResetError("reset"))

    @property
    def idle(self) -> bool:
        return not self.queue and not self.in_flight


def is_stored(kafka: Kafka, topic: str, packet_id: int) -> bool:
    """Whether a record of this very delivery is in Kafka."""
    message_id = topic.rsplit("/", 1)[1].encode()
    marks = b'"message_id":"%s","packet_id":%d,' % (message_id, packet_id)
    return any(marks in value for values in map(kafka.values, kafka.topics) for value in values)


class Life:
    """One process of the bridge."""

    def __init__(self, kafka: Kafka, broker: SessionBroker, watching: Watching | None) -> None:
        self.producer, self.notes, self.books = KafkaProducer(kafka), KafkaNotes(kafka), Books()
        self.failures: list[str] = []
        self.tenure = Tenure(math.inf)
        limits = Limits(
            window=WINDOW,
            busy=BUSY,
            full=2,
            checkpoint=0.0,
            checkpoint_every=4,
            idle_checkpoint=0.0,
            quiet=0.0,
            stop=0.01,
        )
        observer, notes = Observer("mosquitto:main", PARTITIONS), cast("Notes", self.notes)
        outlet = Outlet(cast("Producer", self.producer), Parser(observer, 1000), Activity(), self.books)
        self.pump = Pump(
            outlet,
            notes,
            Keeper(notes, limits),
            self.books,
            tenure=self.tenure,
            started=observer.started,
            failed=self.failures.append,
            given_up=self.give_up,
            limits=limits,
            watch=watching(outlet, self.books) if watching else None,
        )
        options = Options("nowhere", 1883, "me", ("upload_data/#",), back_off=(0.001, 0.01), timeout=5.0)
        self.stop = asyncio.Event()
        self.client = Client(options, self.pump, broker.connect)
        self.task = asyncio.get_running_loop().create_task(self.client.run(self.stop))

    def give_up(self) -> None:
        self.producer.die(0)
        self.task.cancel()

    async def kill(self, arrived: int) -> None:
        self.producer.die(arrived)
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def end(self, arrived: int = 0) -> None:
        """SIGTERM; the first ``arrived`` of the requests that are still under way reach Kafka."""
        self.stop.set()
        await self.task
        self.producer.die(arrived)


class World:
    """``watching``: makes each life's watch over the sources."""

    def __init__(self, watching: Watching | None = None) -> None:
        self.kafka = Kafka()
        self.broker = SessionBroker(self.kafka)
        self._watching = watching
        self.life = Life(self.kafka, self.broker, watching)

    async def begin(self) -> None:
        """Up to the first subscription, so that the session exists."""
        await self.settle()
        self.life.producer.may_deliver = 0
        self.broker.handles_all = False

    async def settle(self) -> None:
        """Lets everything happen that can."""
        self.broker.handles_all = True
        self.broker.handle(EVERYTHING)
        self.life.producer.may_deliver = EVERYTHING
        for _ in range(50):
            await pass_time(0.1)
            if self.client_is_idle():
                break

    def client_is_idle(self) -> bool:
        return self.life.client.subscribed and self.broker.idle and self.life.pump.in_flight == 0

    async def revive(self) -> None:
        self.life = Life(self.kafka, self.broker, self._watching)
        await asyncio.sleep(0)

    @property
    def life_is_balanced(self) -> bool:
        return self.life.books.balanced(self.life.pump.in_flight)
