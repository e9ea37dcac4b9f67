"""Requests to lanes: a record in an inbox, and the answer of the owner of its key.

The service that owns the key decides, in order with everything else about it. What an asker learns is one of four:
the answer, `Refused` (nothing changed), `NotAsked` (nothing was sent), or `NoAnswer`: the request may have been carried
out, may yet be, or may never be, and the state of the row says which.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from msgspec import Meta
from msgspec.structs import replace

from libs.runtime import logs, metrics
from libs.runtime.background import Background
from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.settings import Settings
from libs.runtime.tail import Tail
from libs.topics.codec import Decoder, InvalidMessage, UnknownKind, encode
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestRefused
from libs.topics.names import API_REPLIES

from .broadcast import everywhere
from .bulk import Bulk
from .calls import ASKED, SECONDS, Answer, Call, NoAnswer, NotAsked, Refused, outcome_of
from .mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import KafkaError, Message

    from libs.runtime.settings import KafkaSettings
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered

    from .calls import Outcome

__all__ = ["NoAnswer", "NotAsked", "Refused", "Requests", "RequestsSettings"]

log = logs.get(__name__)

DELIVERY_MS: Final = 10_000
"""A request that Kafka has not taken by then is given up: it must not be carried out long after its asker has gone."""
KAFKA_S: Final = 10.0
"""Seconds to ask Kafka for the end of a partition."""
SESSION_MS: Final = 10_000
"""How long the group takes a silent member for alive. A process that was killed delays its successor by as much: the
partitions are dealt out anew when all members are there, or given up."""
PAUSE: Final = 0.1
"""Seconds between two attempts at that."""
ALONE: Final = 0.25
"""Part of the limit that `Requests.ask_all` leaves to `Requests.ask`."""

LATE = metrics.counter("requests_late", "Answers that nobody waited for any more, and repeated ones.")
OPEN = metrics.gauge("requests_open", "Requests that wait for their answer.")


class RequestsSettings(Settings, frozen=True, kw_only=True):
    group: Annotated[
        str,
        Meta(min_length=1, description="Consumer group that deals the partitions of `api.replies` out to replicas."),
    ] = "api-replies"
    limit: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Requests that may wait for an answer at once, calls of devices among them; more are not "
            "asked.",
        ),
    ] = 5000


class Requests(Background):
    """Make it inside the event loop."""

    def __init__(self, kafka: KafkaSettings, settings: RequestsSettings) -> None:
        super().__init__()
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._name = uuid.uuid4().hex[:12]  # begins every correlation id of this process
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[Answer]] = {}
        self._mailbox = Mailbox()
        self._lock = threading.Lock()  # the mailbox: rebalances come on the consumer's thread
        self._fatal: KafkaException | None = None  # what ended the producer
        self._decode = Decoder[Answer](Answer)
        self._producer = Producer(
            client_config(
                kafka,
                **KEYED,
                **DURABLE,
                **{"linger.ms": 1, "delivery.timeout.ms": DELIVERY_MS, "error_cb": self._on_error},
            )
        )
        config = {
            "group.id": settings.group,
            "enable.auto.commit": False,  # what nobody waits for need not be read
            "session.timeout.ms": SESSION_MS,
        }
        self._consumer = Consumer(client_config(kafka, **config))

    async def start(self) -> None:
        """Return when the group has dealt out its partitions. Waits while Kafka is away; raises KafkaException."""
        await super().start()

    async def stop(self) -> None:
        """Leave the group; requests that are open get no answer. Raises what ended the receiving, if something did."""
        await super().stop()

    def check(self) -> None:
        """Raise what ended the receiving of answers or the sending of requests, KafkaException for one."""
        if self._fatal is not None and not self._stopping:
            raise self._fatal
        super().check()

    async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = 10.0) -> RequestAnswered:  # noqa: ASYNC109 - the failure is NoAnswer
        """Send a request and wait for its answer, ``timeout`` seconds at most.

        Raises `Refused`, `NoAnswer`, `NotAsked`, and as `check`.
        """
        self.check()
        outcome = "abandoned"
        try:
            call = self.send(inbox, key, request)
            try:
                async with asyncio.timeout(timeout):
                    answer = await call.answer
            except TimeoutError:
                raise NoAnswer(f"no answer from {inbox} within {timeout:g} s") from None
            finally:
                self.settle(call)
            outcome = outcome_of(answer)
            SECONDS.labels(inbox).observe(self._loop.time() - call.begun)
        except (NoAnswer, NotAsked) as error:
            outcome = outcome_of(error)
            raise
        finally:
            ASKED.labels(inbox, outcome).inc()
        if isinstance(answer, RequestRefused):
            raise Refused(answer)
        return answer

    async def ask_all(
        self,
        inbox: str,
        asked: Iterable[tuple[bytes, Request]],
        *,
        window: int = 500,
        timeout: float = 10.0,  # noqa: ASYNC109 - the failure is an outcome
    ) -> list[Outcome]:
        """Ask with up to ``window`` requests open; returns what came of each, in their order. Raises as `check`.

        ``asked``: keys with requests, made as there is room for them. ``timeout``: seconds for each answer. When one
        is not answered in time, no more are sent: the others are `NotAsked`.
        """
        self.check()
        bulk = Bulk(self, inbox, window, timeout)
        try:
            return await bulk.run(asked)
        finally:
            bulk.end()

    @property
    def crowded(self) -> bool:
        """What is left of the limit is for single requests."""
        return len(self._open) >= self._settings.limit * (1 - ALONE)

    async def ask_partitions(
        self,
        inbox: str,
        asked: Sequence[Request],
        timeout: float = 10.0,  # noqa: ASYNC109 - the failure is an outcome
    ) -> list[Outcome]:
        """Ask every partition of an inbox, each with a request of its own, by number: a broadcast.

        Returns what came of each within ``timeout`` seconds, in their order. Raises as `check`.
        """
        self.check()
        return await everywhere(self, inbox, asked, timeout)

    def send(self, inbox: str, key: bytes, request: Request, to: int | None = None) -> Call:
        """Send a request; whoever does must `settle` it, answered or not. Raises `NotAsked`.

        ``to``: the partition; None: that of the key. The answer is `RequestAnswered`, `RequestRefused` or the
        exception `NoAnswer`, and need not come.
        """
        if self._stopping:
            raise NotAsked("this process ends")
        if len(self._open) >= self._settings.limit:
            raise NotAsked(f"{len(self._open)} requests wait for an answer already")
        with self._lock:
            partition = self._mailbox.expect()
        if partition is None:
            raise NotAsked(f"no partition of {API_REPLIES} is dealt to this process")
        correlation = f"{self._name}-{next(self._numbers)}"
        call = Call(partition, correlation, self._loop.create_future(), self._loop.time())
        self._open[correlation] = call.answer
        OPEN.set(len(self._open))
        try:
            value = encode(replace(request, reply_to=ReplyTo(partition, correlation)))
            self._produce(inbox, key, value, call.answer, to)
        except NotAsked:
            self.settle(call)
            raise
        return call

    def settle(self, call: Call) -> None:
        """Wait for it no more."""
        del self._open[call.correlation]
        OPEN.set(len(self._open))
        with self._lock:
            self._mailbox.settle(call.partition)

    def _produce(
        self, inbox: str, key: bytes, value: bytes, future: asyncio.Future[Answer], to: int | None = None
    ) -> None:
        def delivered(error: KafkaError | None, _record: Message) -> None:
            if error is not None:
                _fail(future, f"the request was not delivered: {error}")

        try:
            where = {} if to is None else {"partition": to}
            self._producer.produce(inbox, value, key, on_delivery=delivered, **where)
        except BufferError as full:
            raise NotAsked("the queue of requests that Kafka has not taken is full") from full
        except KafkaException as error:  # too large, or the producer has ended: see `check`
            raise NotAsked(f"the request cannot be sent: {error}") from error

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = KafkaException(error)
        log.warning("producer of requests", error=str(error), fatal=error.fatal())

    # -- answers
    async def _run(self) -> None:
        self._consumer.subscribe([API_REPLIES], on_assign=self._deal)
        tail = Tail(self._consumer, "replies", each=self._note)
        try:
            while not self._stopping:
                records, _ = await tail.read()
                self._producer.poll(0)
                for record in records:
                    self._take(record)
        finally:
            for future in self._open.values():
                _fail(future, "this process ends")
            await tail.close()

    def _note(self, record: Message) -> None:
        """Keep the position, on the consumer's thread: a rebalance may follow before the loop sees the record."""
        with self._lock:
            self._mailbox.took(record.partition(), record.offset())

    def _deal(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Read what the group deals out, from its end on, and on where answers are awaited."""
        ends = {one.partition: _end(consumer, one) for one in partitions}
        with self._lock:
            reading = self._mailbox.deal(ends)
            own = self._mailbox.own
        consumer.assign([TopicPartition(API_REPLIES, number, offset) for number, offset in reading.items()])
        log.info("reads answers", own=own, partitions=sorted(reading), dealt=sorted(ends))
        self._loop.call_soon_threadsafe(self._ready.set)

    def _take(self, record: Message) -> None:
        correlation = (record.key() or b"").decode("utf-8", "backslashreplace")
        if correlation.partition("-")[0] != self._name:
            return  # of a process that had this partition, or has it now
        future = self._open.get(correlation)
        if future is None or future.done():
            LATE.inc()
            return
        try:
            future.set_result(self._decode(record.value()))
        except (UnknownKind, InvalidMessage) as error:
            _fail(future, f"the answer is not understood: {error}")


def _end(consumer: Consumer, where: TopicPartition) -> int:
    """Return the offset that the next record gets. Waits on the consumer's thread while a leader is elected."""
    deadline = time.monotonic() + KAFKA_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(where, timeout=KAFKA_S)[1])
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise
            log.warning("cannot ask for the end of a partition", partition=where.partition, error=str(error))
        time.sleep(PAUSE)


def _fail(future: asyncio.Future[Any], why: str) -> None:
    if not future.done():
        future.set_exception(NoAnswer(why))
