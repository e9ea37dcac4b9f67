"""Writing presence's inbox as ingest does, and what must come of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import PresenceDocument, SourceStarted
from services.presence.step import Event
from tests.support.presence.hub import Hub
from tests.support.records import Record, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

decode: Decoder[Any] = Decoder(Event)
decode_document: Decoder[PresenceDocument] = Decoder(PresenceDocument)


class Inbox:
    """A producer for ``presence.inbox``: keyed events by key, a source's start once per partition."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._partitions = partitions
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 2,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def write(self, events: Iterable[Event]) -> None:
        """Hand over; `flush` waits."""
        for event in events:
            if isinstance(event, SourceStarted):
                for number in range(self._partitions):
                    start = msgspec.structs.replace(event, partition=number)
                    self._producer.produce(names.PRESENCE_INBOX, encode(start), BROADCAST_KEY, partition=number)
            else:
                key = device_key(event.product_id, event.device_id)
                self._producer.produce(names.PRESENCE_INBOX, encode(event), key)
            self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def write_slowly(self, events: Iterable[Event], per_second: int) -> threading.Thread:
        """Write in the background, at a steady rate; join the thread to know the end."""
        batches: list[list[Event]] = [[]]
        for event in events:
            if len(batches[-1]) == per_second // 50:
                batches.append([])
            batches[-1].append(event)
        tick = threading.Event()

        def run() -> None:
            for batch in batches:
                self.write(batch)
                tick.wait(0.02)
            self.flush()

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def written(bootstrap: str, topic: str) -> int:
    """How many records a topic was given so far."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test-watermarks"})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in numbers]
        return sum(end for _, end in ends)
    finally:
        consumer.close()


def replayed(bootstrap: str, product: str) -> dict[tuple[str, bytes], set[bytes]]:
    """What presence must have published of a product, by (topic, key): its step over the inbox as it stands."""
    found: dict[tuple[str, bytes], set[bytes]] = {}
    hubs: dict[int, Hub] = {}
    prefix = f"{product}/".encode()
    for record in sorted(read_all(bootstrap, names.PRESENCE_INBOX), key=lambda record: record.offset):
        if record.key is None or not (record.key == BROADCAST_KEY or record.key.startswith(prefix)):
            continue
        hub = hubs.setdefault(record.partition, Hub(record.partition))
        event = decode(record.value)
        for topic, key, value, _ in hub.apply(event, offset=record.offset, timestamp=record.timestamp, key=record.key):
            assert key is not None
            found.setdefault((topic, key), set()).add(value)
    return found


def published(bootstrap: str, topic: str, product: str) -> list[Record]:
    prefix = f"{product}/".encode()
    return [record for record in read_all(bootstrap, topic) if record.key is not None and record.key.startswith(prefix)]


def current(bootstrap: str, product: str) -> dict[bytes, PresenceDocument]:
    """The compacted view of ``presence.state``, without the times at which documents were written."""
    shown = {
        record.key: decode_document(record.value) for record in published(bootstrap, names.PRESENCE_STATE, product)
    }
    return {key: msgspec.structs.replace(one, updated_at=0) for key, one in shown.items() if key is not None}
