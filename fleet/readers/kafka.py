"""Reads what the hub wrote to Kafka since a moment, and the whole of its current state."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from fleet.evidence import Evidence
from libs.runtime.kafka import client_config
from libs.runtime.offsets import Place, offsets
from libs.topics import names
from libs.topics.identity import BROADCAST_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.runtime.settings import KafkaSettings

TIMEOUT = 15.0
"""Seconds for one answer of the brokers."""
RETRY = 0.25
"""Seconds until brokers that refused are asked again."""
BATCH = 5_000
LAST = 5.0
"""Seconds that the last look may take besides: each second brings a tick into every inbox."""


class KafkaReader:
    """Follows `Evidence.TOPICS` from the moment of its creation; `names.PRESENCE_STATE`, being state, from its start.

    Raises `confluent_kafka.KafkaException` when Kafka does not answer. Used by one thread at a time.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.evidence = Evidence()
        self._consumer: Any = Consumer(
            client_config(
                settings,
                **{
                    "group.id": "fleet-reader",  # asked for by the client; nothing is committed
                    "enable.auto.commit": False,
                    "fetch.queue.backoff.ms": 2,
                },
            )
        )
        # Of its own, since Kafka answers a connection in order, and the consumer's waits for fetches most of the time.
        self._admin: Any = AdminClient(client_config(settings))
        places = self._places()
        state = [place for place in places if place[0] == names.PRESENCE_STATE]
        self._next = self._offsets(places, OffsetSpec.latest()) | self._offsets(state, OffsetSpec.earliest())
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._next.items()])

    def advance(self, timeout: float) -> int:
        """Take what is there, waiting up to ``timeout`` seconds for the first record.

        Returns the number of records about devices: ticks come for ever.
        """
        about = 0
        records = self._consumer.consume(BATCH, timeout)
        for record in records:
            if record.error() is not None:
                raise KafkaException(record.error())
            self._next[record.topic(), record.partition()] = record.offset() + 1
            about += record.key() != BROADCAST_KEY
            self.evidence.take(record.topic(), record.partition(), record.offset(), record.key(), record.value())
        return about

    def catch_up(self, deadline: float) -> int:
        """Read up to what Kafka holds now; the number of records about devices. ``deadline``: of `time.monotonic`.

        Raises `TimeoutError`, and `KafkaException` where Kafka refuses until then.
        """
        taken = 0
        ends = self._ends(deadline)
        while any(self._next[place] < end for place, end in ends.items()):
            if time.monotonic() > deadline + LAST:
                left = {f"{topic}-{number}": (self._next[topic, number], end) for (topic, number), end in ends.items()}
                behind = {place: at for place, at in left.items() if at[0] < at[1]}
                raise TimeoutError(f"Kafka holds more than could be read in time: {behind}")
            taken += self.advance(0.1)
        return taken

    def _ends(self, deadline: float) -> dict[Place, int]:
        """Wait, where they have none, for the partitions' leaders: Kafka may have been started again just now."""
        pause = threading.Event()
        while True:
            try:
                return self._offsets(self._next, OffsetSpec.latest())
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            pause.wait(RETRY)

    def close(self) -> None:
        self._consumer.close()

    def _places(self) -> list[Place]:
        topics = self._admin.list_topics(timeout=TIMEOUT).topics
        return [(topic, number) for topic in Evidence.TOPICS if topic in topics for number in topics[topic].partitions]

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, int]:
        return offsets(self._admin, places, which, TIMEOUT)
