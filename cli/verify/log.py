"""Kafka's topics as `verify` reads them: to their ends, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from cli.records import TIMEOUT, Reader
from libs.runtime.kafka import client_config
from libs.runtime.offsets import offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from libs.runtime.settings import KafkaSettings

AT_ONCE: Final = 1000
"""Records."""
POLL: Final = 0.2
"""Seconds."""


class Log(Reader):
    """Goes on where it was with each `catch_up`. Raises `confluent_kafka.KafkaException`."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        super().__init__(kafka, topic)
        # on a connection of its own: the consumer's waits for the answer to a fetch, half a second where nothing comes
        self._admin = AdminClient(client_config(kafka))

    def begin(self, places: Mapping[int, int]) -> None:
        """Begin at the offsets given by partition; what is gone by then is passed over."""
        self._at = dict(places)
        assigned = [TopicPartition(self._topic, number, offset) for number, offset in places.items()]
        self._consumer.assign(assigned)

    def beginnings(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the first offsets that there are."""
        return self._offsets(partitions, OffsetSpec.earliest())

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offsets that the next records will have."""
        return self._offsets(partitions, OffsetSpec.latest())

    def since(self, partitions: Iterable[int], moment: int) -> dict[int, int]:
        """Return the offsets of the first records that were written at or behind a moment in Unix ms, or the ends."""
        numbers = list(partitions)
        found, ends = self._offsets(numbers, OffsetSpec.for_timestamp(moment)), self.ends(numbers)
        return {number: offset if offset >= 0 else ends[number] for number, offset in found.items()}

    def _offsets(self, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        found = offsets(self._admin, [(self._topic, number) for number in partitions], spec, TIMEOUT)
        return {number: offset for (_, number), offset in found.items()}

    def catch_up(self) -> Iterator[Message]:
        """Yield what is behind the last record that was read, up to the ends that the partitions have now."""
        ends = self.ends(self._at)
        while any(self._at[number] < end for number, end in ends.items()):
            for record in self._consumer.consume(AT_ONCE, POLL):
                error = record.error()
                if error is None:
                    self._at[record.partition()] = record.offset() + 1
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name in this client
                    self._at[record.partition()] = max(record.offset(), self._at[record.partition()])
                else:
                    raise KafkaException(error)
