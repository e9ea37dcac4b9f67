"""Follows ``hub.owners``, so that a process knows at any time whom to ask about a key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from libs.runtime import logs
from libs.runtime.kafka import client_config
from libs.runtime.tail import Tail
from libs.topics.codec import Decoder, InvalidMessage, UnknownKind
from libs.topics.messages.hub import PartitionsOwned
from libs.topics.names import HUB_OWNERS

from .claims import Claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from libs.runtime.settings import KafkaSettings

log = logs.get(__name__)

decode: Final = Decoder[PartitionsOwned](PartitionsOwned)


class Owners:
    """Reads the topic from its beginning, outside of any group, and goes on while Kafka is away with what it knows."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._claims = Claims()
        self._changed = asyncio.Event()
        self._complete = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when everything is read that the topic held. Waits while Kafka is away; raises KafkaException."""
        self._task = asyncio.create_task(self._follow())
        complete = asyncio.create_task(self._complete.wait())
        await asyncio.wait({self._task, complete}, return_when=asyncio.FIRST_COMPLETED)
        complete.cancel()
        self.check()

    async def stop(self) -> None:
        """Raises what ended the following, if something did."""
        self._stopping = True
        if self._task is not None:
            await self._task

    def check(self) -> None:
        """Raise what ended the following, KafkaException for one; what is known would grow old unnoticed."""
        if self._task is not None and self._task.done() and not self._stopping:
            self._task.result()

    def of(self, service: str, table: str) -> Mapping[int, PartitionsOwned]:
        """Return the owners' claims by partition, as far as there are owners. Raises as `check`."""
        self.check()
        return self._claims.of(service, table)

    async def another(
        self, service: str, table: str, partition: int, than: PartitionsOwned | None, until: float
    ) -> PartitionsOwned | None:
        """Wait for a claim of the partition other than ``than``, until the loop's time ``until``; None: there is none.

        Raises as `check`.
        """
        while True:
            changed = self._changed
            found = self.of(service, table).get(partition)
            if found is not None and found != than:
                return found
            try:
                async with asyncio.timeout_at(until):
                    await changed.wait()
            except TimeoutError:
                return None

    async def _follow(self) -> None:
        config = {
            "group.id": "hub-owners",  # the client insists on one; no offset is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        consumer = Consumer(client_config(self._kafka, **config))
        consumer.assign([TopicPartition(HUB_OWNERS, 0, OFFSET_BEGINNING)])
        tail = Tail(consumer, "owners")
        try:
            while not self._stopping:
                records, ended = await tail.read()
                for record in records:
                    self._take(record)
                if ended:
                    self._complete.set()
                if records:
                    self._tell()
        finally:
            self._tell()
            await tail.close()

    def _tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _take(self, record: Message) -> None:
        key, value = record.key() or b"", record.value()
        try:
            self._claims.take(key, None if value is None else decode(value))
        except (UnknownKind, InvalidMessage) as error:
            log.warning("announcement is not understood", key=repr(key), error=str(error))
