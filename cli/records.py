"""Records of any topic: where to begin to read, reading, and what a record says."""

from __future__ import annotations

import base64
import functools
import operator
import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from libs.runtime.kafka import client_config
from libs.topics.codec import Decoder, InvalidMessage, UnknownKind

from . import times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.runtime.settings import KafkaSettings
    from libs.topics.topic import Topic

TIMEOUT: Final = 10.0
"""Seconds for one answer of Kafka."""
POLL: Final = 0.2
TYPE: Final = re.compile(rb'\{"type":"([a-z0-9_]+)"')


class Start(msgspec.Struct, frozen=True):
    """Where to begin."""

    at: Literal["beginning", "end", "offset", "time"]
    value: int = 0
    """The offset, or the moment in Unix milliseconds."""


class Record(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    written_at: int
    """Unix milliseconds."""
    key: bytes | None
    value: bytes | None


class Seen(msgspec.Struct, frozen=True):
    """What a record says."""

    kind: str
    value: msgspec.Raw | None
    """JSON: the record's own, or a text in base64 where it is none. None: it has no value."""
    problem: str | None = None
    """Why it could not be decoded."""


def parse_start(text: str, now: float) -> Start:
    """``beginning``, ``end``, an offset, a time, or so long ago (``15m``). Raises ValueError."""
    if text == "beginning":
        return Start("beginning")
    if text == "end":
        return Start("end")
    if text.isdecimal():
        return Start("offset", int(text))
    return Start("time", times.parse_moment(text, now))


class Reader:
    """Reads partitions outside of any group. Raises `confluent_kafka.KafkaException`."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            client_config(
                kafka,
                **{
                    "group.id": "fleetlog-cli",  # the client insists on one; nothing is committed
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "earliest",
                },
            )
        )

    def partitions(self) -> list[int]:
        """Return the topic's partitions; none where Kafka does not have it."""
        found = self._consumer.list_topics(self._topic, timeout=TIMEOUT).topics[self._topic]
        return sorted(found.partitions) if found.error is None else []

    def read(self, partitions: list[int], start: Start, *, follow: bool) -> Iterator[Record]:
        """Yield records from ``start`` on; without ``follow`` up to the present end of each partition."""
        self._consumer.assign(self._places(partitions, start))
        unfinished = set(partitions)
        while follow or unfinished:
            record = self._consumer.poll(POLL)
            if record is None:
                continue
            error = record.error()
            if error is None:
                moment = record.timestamp()[1]
                yield Record(self._topic, record.partition(), record.offset(), moment, record.key(), record.value())
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name in this client
                unfinished.discard(record.partition())
            else:
                raise KafkaException(error)

    def close(self) -> None:
        self._consumer.close()

    def _places(self, partitions: list[int], start: Start) -> list[TopicPartition]:
        match start.at:
            case "beginning":
                offset = OFFSET_BEGINNING
            case "end":
                offset = OFFSET_END
            case "offset":
                return [TopicPartition(self._topic, number, self._within(number, start.value)) for number in partitions]
            case "time":
                asked = [TopicPartition(self._topic, number, start.value) for number in partitions]
                return list(self._consumer.offsets_for_times(asked, timeout=TIMEOUT))
        return [TopicPartition(self._topic, number, offset) for number in partitions]

    def _within(self, partition: int, offset: int) -> int:
        """Kafka's client would begin anew behind the end."""
        place = TopicPartition(self._topic, partition)
        end: int = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT)[1]
        return min(offset, end)


def decoder(topic: Topic) -> Decoder[Any] | None:
    """Return what understands the topic's records; None where they are no messages."""
    return Decoder(functools.reduce(operator.or_, topic.types)) if topic.types else None


def see(record: Record, decode: Decoder[Any] | None) -> Seen:
    """Decode a record; what cannot be decoded is shown as it is."""
    if record.value is None:
        return Seen("deleted", None)
    form = TYPE.match(record.value)
    kind = "?" if form is None else form[1].decode()
    if decode is None:
        return Seen("binary", _raw(record.value))
    try:
        decode(record.value)
    except UnknownKind:
        return Seen(kind, _raw(record.value), "a type that this version does not know")
    except InvalidMessage as error:
        return Seen(kind, _raw(record.value), str(error))
    return Seen(kind, _raw(record.value))


def _raw(value: bytes) -> msgspec.Raw:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(msgspec.json.encode(base64.b64encode(value).decode()))
    return msgspec.Raw(value.replace(b"\n", b" "))  # in JSON it stands between tokens only, and we print lines


def key_text(key: bytes | None) -> str | None:
    """Bytes that are no text are escaped, as are the hub's own keys, which begin with a zero byte."""
    if key is None:
        return None
    return key.decode("utf-8", "backslashreplace").replace("\0", "\\0")
