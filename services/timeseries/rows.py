"""From Kafka records to columns. Pure.

The same records give the same rows in the same order, which is what makes a replayed block the same block. A record of
a kind that this version does not know is counted and skipped: its ids cannot be read, so it would be a row without an
owner; Kafka keeps it, and a newer version can be sent back to it. A record that is broken becomes a dead letter.
Everything else becomes at least one row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from functools import reduce
from itertools import chain, repeat
from operator import or_, sub
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import msgspec

from libs.topics import catalog, names
from libs.topics.codec import Decoder, InvalidMessage, UnknownKind
from libs.topics.messages.base import Message
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.telemetry import DataUploaded, DeviceMessageSent

from .flatten import Metrics
from .tables import METRIC_STRINGS, METRICS, PRESENCE_TRANSITIONS, RAW_EVENTS, REGISTRY_EVENTS, Columns, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SERVICE: Final = "timeseries"
TIMES: Final = range(4_102_444_800_000)
"""Milliseconds that a row may have: from 1970 until 2100. A time outside would make a partition of its own."""

OVERHEAD: Final = 100
"""Bytes that a record counts beside its value, so that records without one fill a block too."""

M = TypeVar("M", bound=Message)


class Record(Protocol):
    """What is read of a Kafka record; confluent_kafka's ``Message`` is one."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds)."""


class Rows(ABC, Generic[M]):
    """Rows of consecutive records of one partition."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.offsets: list[int] = []
        self.events: list[M] = []
        self.unknown = 0
        self.dead_letters: list[DeadLetter] = []
        self.bytes = 0
        """Sum of the values' lengths, and `OVERHEAD` for each record."""

    def add(self, record: Record) -> None:
        value = record.value()
        offset = record.offset()
        self.bytes += OVERHEAD + len(value or b"")
        try:
            self.events.append(self._read(value))
        except UnknownKind:
            self.unknown += 1
        except InvalidMessage as error:
            self.dead_letters.append(self._dead_letter(record, error))
        else:
            self.offsets.append(offset)

    @property
    @abstractmethod
    def size(self) -> int:
        """Rows over all tables."""

    @property
    def left_out(self) -> dict[str, int]:
        """Parts of events that have no row of their own, by reason."""
        return {}

    @property
    def clocks(self) -> dict[str, int]:
        """Times of devices that are late or not believed, by verdict of `device_time.judge`."""
        return {}

    @abstractmethod
    def tables(self) -> Iterator[tuple[Table, Columns]]:
        """Yield what to write, in the order of writing; tables without rows too."""

    @abstractmethod
    def _read(self, value: bytes | None) -> M:
        """Decode and keep what the columns need. Raises `UnknownKind` or `InvalidMessage`, with nothing kept."""

    def _dead_letter(self, record: Record, error: InvalidMessage) -> DeadLetter:
        """Build the same letter, byte for byte, each time the record is read."""
        key = record.key()
        return DeadLetter(
            service=SERVICE,
            reason=error.reason,
            error=str(error),
            origin=f"kafka:{self.topic}-{self.partition}-{record.offset()}",
            key=None if key is None else b64encode(key).decode(),
            payload=b64encode(record.value() or b"").decode(),
            packet_id=0,
            received_at=record.timestamp()[1],
        )

    def _position(self) -> Columns:
        count = len(self.offsets)
        return [[self.topic] * count, [self.partition] * count, self.offsets]


class TelemetryRows(Rows[DataUploaded | DeviceMessageSent]):
    """Raw events, and metrics of what devices uploaded as JSON. A message to another device is no telemetry."""

    _decode = Decoder[DataUploaded | DeviceMessageSent](DataUploaded | DeviceMessageSent)

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._payloads: list[bytes] = []
        self._times: list[int] = []
        """Of each event's metrics."""
        self._device_times: list[int | None] = []
        self._metrics = Metrics()
        self._numbers: list[int] = []
        self._texts: list[int] = []

    @property
    def size(self) -> int:
        return len(self.events) + len(self._metrics.keys) + len(self._metrics.text_keys)

    @property
    def left_out(self) -> dict[str, int]:
        return self._metrics.left_out

    @property
    def clocks(self) -> dict[str, int]:
        return self._metrics.clocks

    def _read(self, value: bytes | None) -> DataUploaded | DeviceMessageSent:
        event = self._decode(value)
        ts = event.received_at
        if ts not in TIMES:
            raise _bad_time("received_at", ts)
        device_at = None
        metrics = self._metrics
        if event.encoding == "base64":
            self._payloads.append(_text(event.payload))
        else:
            payload = bytes(event.payload)
            self._payloads.append(payload)
            if type(event) is DataUploaded:
                ts, device_at = metrics.add(payload, ts)
        self._times.append(ts)
        self._device_times.append(device_at)
        self._numbers.append(len(metrics.keys))
        self._texts.append(len(metrics.text_keys))
        return event

    def tables(self) -> Iterator[tuple[Table, Columns]]:
        events = self.events
        products = [event.product_id for event in events]
        devices = [event.device_id for event in events]
        data_types = [event.data_type if type(event) is DataUploaded else "" for event in events]
        yield (
            RAW_EVENTS,
            [
                *self._position(),
                [event.__struct_config__.tag for event in events],
                products,
                devices,
                data_types,
                [event.to_device_id if type(event) is DeviceMessageSent else "" for event in events],
                [event.message_id for event in events],
                [event.encoding for event in events],
                self._payloads,
                [event.received_at for event in events],
                self._device_times,
            ],
        )
        owners = (products, devices, data_types, self._times, self.offsets)
        yield METRICS, self._narrow(owners, self._numbers, self._metrics.keys, self._metrics.values)
        yield METRIC_STRINGS, self._narrow(owners, self._texts, self._metrics.text_keys, self._metrics.texts)

    def _narrow(
        self, owners: Iterable[list[Any]], ends: list[int], keys: list[str], values: Sequence[float | str]
    ) -> Columns:
        """Repeat what an event says of itself for each of its metrics; ``ends``: metrics up to and with each event."""
        counts = map(sub, ends, chain((0,), ends))
        events = list(chain.from_iterable(map(repeat, range(len(ends)), counts)))
        products, devices, data_types, times, offsets = ([column[event] for event in events] for column in owners)
        count = len(keys)
        return [
            products,
            devices,
            data_types,
            keys,
            times,
            values,
            [self.topic] * count,
            [self.partition] * count,
            offsets,
        ]


class PresenceRows(Rows[PresenceChanged]):
    _decode = Decoder[PresenceChanged](PresenceChanged)

    @property
    def size(self) -> int:
        return len(self.events)

    def _read(self, value: bytes | None) -> PresenceChanged:
        event = self._decode(value)
        for field, time in (("at", event.at), ("observed_at", event.observed_at), ("since", event.since)):
            if time is not None and time not in TIMES:
                raise _bad_time(field, time)
        return event

    def tables(self) -> Iterator[tuple[Table, Columns]]:
        events = self.events
        yield (
            PRESENCE_TRANSITIONS,
            [
                *self._position(),
                [event.id for event in events],
                [event.product_id for event in events],
                [event.device_id for event in events],
                [event.old for event in events],
                [event.new for event in events],
                [event.cause for event in events],
                [event.reason or "" for event in events],
                [event.client_id for event in events],
                [event.channel_id or "" for event in events],
                [event.previous_channel_id or "" for event in events],
                [event.source for event in events],
                [event.at for event in events],
                [event.observed_at for event in events],
                [event.since for event in events],
            ],
        )


class RegistryRows(Rows[Any]):
    """What happened in the registry. Its events have no fields in common but ``id`` and ``at``."""

    _decode = Decoder[Any](reduce(or_, catalog.get(names.REGISTRY_EVENTS).types))

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._texts: list[bytes] = []

    @property
    def size(self) -> int:
        return len(self.events)

    def _read(self, value: bytes | None) -> Any:
        event = self._decode(value)
        if event.at not in TIMES:
            raise _bad_time("at", event.at)
        self._texts.append(value or b"")
        return event

    def tables(self) -> Iterator[tuple[Table, Columns]]:
        events = self.events
        texts = [[getattr(event, name, "") for event in events] for name in ("product_id", "device_id", "key_id")]
        yield (
            REGISTRY_EVENTS,
            [
                *self._position(),
                [event.id for event in events],
                [event.__struct_config__.tag for event in events],
                *texts,
                [getattr(event, "version", 0) for event in events],
                [getattr(event, "by", "") for event in events],
                [event.at for event in events],
                self._texts,
            ],
        )


MAKERS: Final[dict[str, type[Rows[Any]]]] = {
    names.DEVICE_TELEMETRY: TelemetryRows,
    names.PRESENCE_TRANSITIONS: PresenceRows,
    names.REGISTRY_EVENTS: RegistryRows,
}
"""What makes rows of a topic's records."""


def _bad_time(field: str, time: int) -> InvalidMessage:
    return InvalidMessage(f"{field} {time} is not a time between 1970 and 2100 in milliseconds")


def _text(payload: msgspec.Raw) -> bytes:
    """Take the quotes off; bytes, since a column must not mix them with texts."""
    try:
        return msgspec.json.decode(payload, type=str).encode()
    except msgspec.DecodeError as error:
        raise InvalidMessage(f"a base64 payload is a text: {error}") from error
