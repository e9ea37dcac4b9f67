"""Writing presence's inbox as ingest does, and what must come of it."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from libs.runtime.lane import history
from libs.runtime.lane.compare import compare
from libs.runtime.lane.replay import replay
from libs.runtime.lane.rows import SHARED_KEY
from libs.runtime.settings import KafkaSettings
from libs.topics import catalog, names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import ConnectionObserved, PresenceDocument
from services.presence import app
from services.presence.settings import PresenceSettings
from services.presence.step import Broadcast, Event
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.presence.hub import Hub
from tests.support.presence.world import T0
from tests.support.records import Record, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from libs.runtime.lane.rows import Codec

decode: Decoder[Any] = Decoder(Event)
decode_document: Decoder[PresenceDocument] = Decoder(PresenceDocument)


class Inbox:
    """A producer for ``presence.inbox``: keyed events by key, broadcasts once per partition."""

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
            if isinstance(event, Broadcast):
                for number in range(self._partitions):
                    start = msgspec.structs.replace(event, partition=number)
                    self._producer.produce(names.PRESENCE_INBOX, encode(start), BROADCAST_KEY, partition=number)
            else:
                key = device_key(event.product_id, event.device_id)
                self._producer.produce(names.PRESENCE_INBOX, encode(event), key)
            self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    @contextmanager
    def load(self, events: Sequence[Event], per_second: int) -> Iterator[threading.Thread]:
        """Write in the background at a steady rate: the events, then others until the block ends, whenever it does.

        All of ``events`` are written when the block is left, unless it fails.
        """
        wanted, over, failed = iter(events), threading.Event(), threading.Event()
        others = reconnects(unique("load"))

        def run() -> None:
            while not failed.is_set():
                batch = list(islice(wanted, per_second // 50))
                if not batch and over.is_set():
                    break
                self.write(batch or islice(others, per_second // 50))
                failed.wait(0.02)
            self.flush()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield thread
        except BaseException:
            failed.set()
            raise
        finally:
            over.set()
            thread.join()


def reconnects(product: str) -> Iterator[Event]:
    """200 devices that connect anew for ever: each event is a transition."""
    for number in count():
        device, channel = f"d{number % 200}", f"{product}-{number}"
        yield ConnectionObserved(
            product, device, "c1", channel, "connect", T0 + number, product, number % 1000, ingested_at=T0 + number
        )


def await_work(bootstrap: str, load: threading.Thread) -> None:
    """Return while presence publishes what comes of a load that is under way."""
    seen = written(bootstrap, names.PRESENCE_TRANSITIONS)
    eventually(lambda: written(bootstrap, names.PRESENCE_TRANSITIONS) > seen + 500, describe="presence at work")
    assert load.is_alive(), "the load has ended"


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
            found.setdefault((topic, key), set()).add(value or b"")
    return found


def published(bootstrap: str, topic: str, product: str) -> list[Record]:
    prefix = f"{product}/".encode()
    return [record for record in read_all(bootstrap, topic) if record.key is not None and record.key.startswith(prefix)]


def ends(bootstrap: str, partitions: int) -> list[int]:
    """Where the inbox ends now. It goes on: presence ticks into it."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": "test-watermarks"})) as consumer:
        where = [TopicPartition(names.PRESENCE_INBOX, number) for number in range(partitions)]
        return [consumer.get_watermark_offsets(one, timeout=10)[1] for one in where]


def folded(bootstrap: str, up_to: Sequence[int]) -> bool:
    """Whether presence has folded and committed its inbox up to these ends of its partitions."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": app.SERVICE})) as consumer:
        where = [TopicPartition(names.PRESENCE_INBOX, number) for number in range(len(up_to))]
        reached = consumer.committed(where, timeout=10)
        return all(max(one.offset, 0) >= end for one, end in zip(reached, up_to, strict=True))


def await_folded(bootstrap: str, partitions: int, timeout: float = 30.0) -> None:
    """Return when presence has folded all that is in its inbox now."""
    up_to = ends(bootstrap, partitions)
    eventually(lambda: folded(bootstrap, up_to), timeout, describe="presence to fold what was written")


def unlike_the_replay(bootstrap: str, partitions: int, product: str) -> list[str]:
    """Where presence's rows and logs of a product differ from the replay of the inbox, in sentences.

    All about the product must be folded. Ticks come all the while, so the replay ends where the rows do.
    """
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=partitions)
    lane = app.build(PresenceSettings(kafka=kafka)).lanes[app.TABLE]
    rows: dict[int, list[history.Entry]] = {}
    for number, entries in history.read(kafka, names.changelog(app.SERVICE, app.TABLE)):
        rows.setdefault(number, []).extend(entries)
    reached = {number: max(map(offset_of(lane.codec), entries)) for number, entries in rows.items()}
    addresses = [names.PRESENCE_STATE, names.PRESENCE_TRANSITIONS, *catalog.get(names.PRESENCE_TRANSITIONS).feeds]
    logs = {
        topic: [entry for _, entries in history.read(kafka, topic) for entry in entries]
        for topic in (*addresses, names.dead_letters(app.SERVICE))
    }
    inbox = (
        (number, [entry for entry in entries if entry.offset <= reached.get(number, -1)])
        for number, entries in history.read(kafka, names.PRESENCE_INBOX, first=0)
    )
    replayed = replay(lane, inbox)
    prefix = f"{product}/".encode()
    return compare(replayed, rows, logs, only=lambda key: key is not None and key.startswith(prefix))


def offset_of(codec: Codec) -> Callable[[history.Entry], int]:
    """Which record of the inbox a row was last written for."""

    def offset(entry: history.Entry) -> int:
        if entry.value is None:
            return -1
        return (codec.thaw_shared if entry.key == SHARED_KEY else codec.thaw)(entry.value).offset

    return offset


def current(bootstrap: str, product: str) -> dict[bytes, PresenceDocument]:
    """The compacted view of ``presence.state``, without the times at which documents were written."""
    shown = {
        record.key: decode_document(record.value) for record in published(bootstrap, names.PRESENCE_STATE, product)
    }
    return {key: msgspec.structs.replace(one, updated_at=0) for key, one in shown.items() if key is not None}
