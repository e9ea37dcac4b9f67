"""Kafka's topics as `verify` reads them: to their ends, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from cli.records import TIMEOUT, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

AT_ONCE: Final = 1000
"""Records."""
POLL: Final = 0.2
"""Seconds."""


class Log(Reader):
    """Goes on where it was with each `catch_up`. Raises `confluent_kafka.KafkaException`."""

    def begin(self, places: Mapping[int, int]) -> None:
        """Begin at the offsets given by partition; what is gone by then is passed over."""
        self._at = dict(places)
        assigned = [TopicPartition(self._topic, number, offset) for number, offset in places.items()]
        self._consumer.assign(assigned)

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that there is, and the one that the next record will have."""
        place = TopicPartition(self._topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT)
        return low, high

    def at(self, partition: int, moment: int) -> int:
        """Return the offset of the first record that was written at or behind a moment in Unix ms."""
        asked = [TopicPartition(self._topic, partition, moment)]
        offset: int = self._consumer.offsets_for_times(asked, timeout=TIMEOUT)[0].offset
        return offset if offset >= 0 else self.bounds(partition)[1]

    def catch_up(self) -> Iterator[Message]:
        """Yield what is behind the last record that was read, up to the ends that the partitions have now."""
        ends = {number: self.bounds(number)[1] for number in self._at}
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
