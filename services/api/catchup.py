"""Reads what a subscriber who resumes has missed: by a consumer of his own, until he is where all others are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, TopicPartition

from libs.runtime.kafka import client_config
from libs.runtime.tail import Tail

from .live import CONFIG, KAFKA_S, read
from .missed import Missed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self

    from libs.runtime.settings import KafkaSettings

    from .fan import Fan, Outbox
    from .positions import Place

CLOSE: Final = 500
"""Records behind the live reader at which a subscriber joins: what comes while he reads them must fit his outbox."""


class CatchUp:
    """An asynchronous context, for as long as there is something to read."""

    def __init__(self, kafka: KafkaSettings, outbox: Outbox, position: Mapping[Place, int]) -> None:
        self._kafka, self._outbox = kafka, outbox
        self._missed = Missed(outbox, position, kafka.partitions)

    async def __aenter__(self) -> Self:
        self._consumer = Consumer(client_config(self._kafka, **CONFIG))
        self._tail = Tail(self._consumer, "catch-up")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tail.close()

    async def join(self, fan: Fan) -> AsyncIterator[bytes]:
        """Yield what was missed; at the end the subscriber takes part in ``fan``. Raises KafkaException.

        The last records are read after he has joined: from there on his outbox keeps what comes behind them.
        """
        yield await self._check(self._part_of(fan))
        while self._missed.left(self._part_of(fan)) > CLOSE:
            async for told in self._until(self._part_of(fan)):
                yield told
        target = self._part_of(fan)
        fan.join(self._outbox, self._missed.vector)
        async for told in self._until(target):
            yield told

    def _part_of(self, fan: Fan) -> dict[Place, int]:
        """Return where the live reader is, in the subscriber's topics."""
        return {place: at for place, at in fan.vector.items() if place[0] in self._outbox.topics}

    async def _check(self, target: Mapping[Place, int]) -> bytes:
        """Notice positions that are behind the end: their topic was made anew.

        One may rightly be ahead of ``target``, where the process that told it was further than this one.
        """
        told = b""
        for place, at in self._missed.vector.items():
            if at > target[place] and at > (await self._watermarks(place))[1]:
                told += self._missed.made_anew(place, target)
        return told

    async def _watermarks(self, place: Place) -> tuple[int, int]:
        """Return the offsets of the oldest record and of the end."""
        partition = TopicPartition(*place)
        oldest, end = await self._tail.call(
            lambda: self._consumer.get_watermark_offsets(partition, timeout=KAFKA_S, cached=False)
        )
        return oldest, end

    async def _until(self, target: Mapping[Place, int]) -> AsyncIterator[bytes]:
        for place in self._missed.places(target):
            oldest, _ = await self._watermarks(place)
            yield self._missed.begins_at(place, oldest, target)
        vector = self._missed.vector
        starts = [TopicPartition(*place, vector[place]) for place in self._missed.places(target)]
        await self._tail.call(lambda: self._consumer.assign(starts))
        while self._missed.left(target):
            records, _ = await self._tail.read()
            yield b"".join([self._missed.take(read(record), target) for record in records])
