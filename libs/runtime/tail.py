"""A Kafka consumer for an event loop: polled on a thread of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, Message

T = TypeVar("T")

PATIENCE: Final = 0.1
"""Seconds that a read waits for a first record; so long may the end take, too."""
MOST: Final = 1000
"""Records of one read."""


class Tail:
    """``each``: called with every record as it comes, on the thread on which the consumer's callbacks run too."""

    def __init__(self, consumer: Consumer, name: str, each: Callable[[Message], None] | None = None) -> None:
        self._consumer, self._each = consumer, each
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def read(self) -> tuple[list[Message], set[int]]:
        """Return the next records, perhaps none, and the partitions whose ends they reach.

        Ends are told only by a consumer with ``enable.partition.eof``. Raises KafkaException.
        """
        return await self.call(self._read)

    async def call(self, function: Callable[[], T]) -> T:
        """Call on the consumer's thread what waits for Kafka."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _read(self) -> tuple[list[Message], set[int]]:
        records: list[Message] = []
        ended, wait = set[int](), PATIENCE
        while len(records) < MOST:
            record = self._consumer.poll(wait)
            if record is None:
                break
            wait = 0.0
            error = record.error()
            if error is None:
                if self._each is not None:
                    self._each(record)
                records.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name in this client
                ended.add(record.partition())
            else:
                raise KafkaException(error)
        return records, ended

    async def close(self) -> None:
        """Leave the group, where there is one; the last `read` must have ended."""
        await self.call(self._consumer.close)
        self._thread.shutdown()
