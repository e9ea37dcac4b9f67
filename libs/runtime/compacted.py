"""Follows a compacted topic, so that a process knows at any time the last document under each of its keys."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from libs.topics.codec import InvalidMessage, UnknownKind

from . import logs, metrics
from .background import Background
from .kafka import client_config
from .tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message

    from .settings import KafkaSettings

T = TypeVar("T")

Changes: TypeAlias = "Sequence[tuple[bytes, T | None]]"
"""Keys with their new documents, in the order of the topic; None: there is none any more."""

log = logs.get(__name__)

KAFKA_S: Final = 1.0
"""Seconds to ask Kafka once for the partitions of a topic."""
PAUSE: Final = 0.1
"""Seconds between two attempts at that."""
RECONNECT_MS: Final = 1000
"""At most so long after Kafka is back nothing is known of it; the client's own 10 s are long where somebody was locked
out meanwhile."""

UNREADABLE = metrics.counter(
    "compacted_unreadable",
    "Documents of followed topics that are not understood; they count as deleted.",
    ("topic", "reason"),
)


class NoSuchTopic(LookupError):
    """The topic that is to be followed does not exist: `python -m services.topics` creates the catalog's."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist; python -m services.topics creates it")
        self.topic = topic


class Compacted(Background, Generic[T]):
    """Reads all partitions from their beginnings, outside of any group; while Kafka is away it knows what it knew.

    A document that is not understood counts as deleted, is logged and counted. The last one that was understood might
    let somebody in who has been locked out since, and a process that starts later could not know it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        decode: Callable[[bytes], T],
        *,
        on_change: Callable[[Changes[T]], None] | None = None,
    ) -> None:
        """``decode`` raises `UnknownKind` and `InvalidMessage`, as `libs.topics.codec.Decoder` does.

        ``on_change`` is called in the event loop, when `documents` has the changes, with at most `tail.MOST` of them;
        what it raises ends the following. From the first record on, so also before `start` returns.
        """
        super().__init__()
        self._kafka, self._topic, self._decode, self._on_change = kafka, topic, decode, on_change
        self._documents: dict[bytes, T] = {}
        self.documents: Mapping[bytes, T] = MappingProxyType(self._documents)
        """By key; changes as the topic does."""
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Return when every partition was read to its end. Waits while Kafka is away.

        Raises `NoSuchTopic`, and KafkaException for what does not pass by waiting.
        """
        await super().start()

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Return when ``holds()``, which is asked now and after every change. Raises TimeoutError, and as `check`."""
        async with asyncio.timeout(seconds):
            while True:
                changed = self._changed
                self.check()
                if holds():
                    return
                await changed.wait()

    async def _run(self) -> None:
        try:
            await self._follow()
        finally:
            self._tell()  # whoever wakes finds the task ended

    async def _follow(self) -> None:
        config = {
            "group.id": "hub-followers",  # the client insists on one; no offset is committed
            "enable.auto.commit": False,
            # Where records were lost before they were read, deletions may be among them: end, and read all anew.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": RECONNECT_MS,
        }
        consumer = Consumer(client_config(self._kafka, **config))
        tail = Tail(consumer, self._topic)
        try:
            unread = await self._partitions(consumer, tail)
            consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in unread])
            while not self._stopping:
                records, ended = await tail.read()
                self._take(records)
                unread -= ended
                if not unread:
                    self._ready.set()
        finally:
            await tail.close()

    async def _partitions(self, consumer: Consumer, tail: Tail) -> set[int]:
        """Return their numbers; none where the end comes first."""
        said = False
        while not self._stopping:
            try:
                topic = (await tail.call(lambda: consumer.list_topics(self._topic, KAFKA_S))).topics[self._topic]
            except KafkaException as error:
                if not said:
                    log.warning("cannot ask for the partitions of a topic yet", topic=self._topic, error=str(error))
                said = True
            else:
                if topic.error is None:
                    return set(topic.partitions)
                if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise NoSuchTopic(self._topic)
                if not topic.error.retriable():
                    raise KafkaException(topic.error)
            await asyncio.sleep(PAUSE)
        return set()

    def _take(self, records: Sequence[Message]) -> None:
        changes = [(record.key() or b"", self._document(record)) for record in records]
        documents = self._documents
        for key, document in changes:
            if document is None:
                documents.pop(key, None)
            else:
                documents[key] = document
        if changes:
            if self._on_change is not None:
                self._on_change(changes)
            self._tell()

    def _document(self, record: Message) -> T | None:
        value = record.value()
        if value is None:
            return None
        try:
            return self._decode(value)
        except (UnknownKind, InvalidMessage) as error:
            UNREADABLE.labels(self._topic, error.code).inc()
            log.warning("document is not understood", topic=self._topic, key=repr(record.key()), error=str(error))
            return None

    def _tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
