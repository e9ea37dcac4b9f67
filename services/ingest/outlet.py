"""From a message to Kafka's producer, with the activity mark that it may bring."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from libs.topics.codec import encode
from libs.topics.identity import split_key
from libs.topics.messages.presence import TrafficSeen
from libs.topics.names import PRESENCE_INBOX

from . import letters, metrics
from .books import Account, Books
from .entries import Entry
from .model import Dropped, Letter, Parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Producer
    from mqtt5 import PublishPacket

    from libs.runtime.activity import Activity

    from .resume import Filter

_SILENT: Final = frozenset((PRESENCE_INBOX, letters.TOPIC))
"""Records for these do not show that a device sent something."""
# Looking a member up in its class costs more than a call.
_PRODUCED: Final = Account.PRODUCED
_DEAD_LETTERED: Final = Account.DEAD_LETTERED
_DROPPED: Final = Account.DROPPED
_ABSORBED: Final = Account.ABSORBED


class Outlet:
    """``parse``: (MQTT topic, payload, packet id, now in ms) to what it becomes."""

    def __init__(
        self, producer: Producer, parse: Callable[[str, bytes, int, int], Parsed], activity: Activity, books: Books
    ) -> None:
        self.producer, self._produce = producer, producer.produce
        self._parse, self._due, self._books = parse, activity.due, books

    def __len__(self) -> int:
        """Records under way, those that belong to no message included."""
        return len(self.producer)

    def take(self, packets: Iterable[PublishPacket], add: Callable[[Entry], None], now: int) -> None:
        """Parses all, then produces all, and gives ``add`` the entry of each message.

        In this order because the producer sends what it gets within its linger time as one batch. While a backlog is
        parsed that time would go by again and again, and Kafka would be busy with many small requests.

        Raises BufferError when the producer is full: what was added by then is taken, the rest is not.
        """
        parse, send = self._parse, self.send
        parsed = [parse(packet.topic, packet.payload, packet.packet_id or 0, now) for packet in packets]
        for packet, outcome in zip(packets, parsed, strict=True):
            add(send(packet.packet_id or 0, outcome, now))

    def take_again(self, packet: PublishPacket, known: Filter, now: int) -> Entry:
        """`take` for a redelivered message: only what is not in Kafka yet, each copy of a broadcast by itself."""
        packet_id = packet.packet_id or 0
        parsed = self._parse(packet.topic, packet.payload, packet_id, now)
        if type(parsed) is tuple:
            parsed = tuple(record for record in parsed if not known.absorb(record.value))
            if not parsed:
                return Entry(packet_id, _ABSORBED, 0)
        return self.send(packet_id, parsed, now)

    def send(self, packet_id: int, parsed: Parsed, now: int) -> Entry:
        """Produces what one message became. Raises BufferError when the producer is full."""
        if type(parsed) is Dropped:
            metrics.DROPPED.labels(self._books.shard, parsed.reason).inc()
            return Entry(packet_id, _DROPPED, 0)
        assert type(parsed) is tuple
        first, produce = parsed[0], self._produce
        if type(first) is Letter:
            metrics.LETTERS.labels(self._books.shard, first.reason).inc()
            entry = Entry(packet_id, _DEAD_LETTERED)
        else:
            entry = Entry(packet_id, _PRODUCED, len(parsed))
        for record in parsed:
            produce(record.topic, record.value, record.key, record.partition, entry)
        if first.topic not in _SILENT and first.key and self._due(first.key, now):
            self._mark(first.key, now)
        return entry

    def _mark(self, key: bytes, now: int) -> None:
        """Nobody waits for a mark: one that is lost comes again with the device's next message."""
        product_id, device_id = split_key(key)
        self._produce(PRESENCE_INBOX, encode(TrafficSeen(product_id, device_id, now)), key)
        self._books.extra += 1


def now_ms() -> int:
    return time.time_ns() // 1_000_000
