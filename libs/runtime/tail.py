"""A Kafka consumer for an event loop: polled on a thread of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, Message

PATIENCE: Final = 0.1
"""Seconds that a read waits for a first record; so long may the end take, too."""
MOST: Final = 1000
"""Records of one read."""


class Tail:
    """``each``: called with every record as it comes, on the thread on which the consumer's callbacks run too."""

    def __init__(self, consumer: Consumer, name: str, each: Callable[[Message], None] | None = None) -> None:
        self._consumer, self._each = consumer, each
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def read(self) -> tuple[list[Message], bool]:
        """Return the next records, perhaps none, and whether they reach the end of a partition.

        The end is told only by a consumer with ``enable.partition.eof``. Raises KafkaException.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read)

    def _read(self) -> tuple[list[Message], bool]:
        records: list[Message] = []
        ended, wait = False, PATIENCE
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
                ended = True
            else:
                raise KafkaException(error)
        return records, ended

    async def close(self) -> None:
        """Leave the group, where there is one; the last `read` must have ended."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._consumer.close)
        self._thread.shutdown()
