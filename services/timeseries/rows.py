"""From Kafka records to columns, topic by topic. Pure."""

from __future__ import annotations

from functools import reduce
from itertools import chain, repeat
from operator import or_, sub
from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.topics import catalog, names
from libs.topics.codec import Decoder, InvalidMessage
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.telemetry import DataUploaded, DeviceMessageSent

from .commands import CommandRows
from .flatten import Metrics
from .records import TIMES, Rows, bad_time
from .shadows import ShadowRows
from .tables import METRIC_STRINGS, METRICS, PRESENCE_TRANSITIONS, RAW_EVENTS, REGISTRY_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .table import Columns, Table


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
            raise bad_time("received_at", ts)
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
                raise bad_time(field, time)
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
            raise bad_time("at", event.at)
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
    names.SHADOW_EVENTS: ShadowRows,
    names.COMMANDS_EVENTS: CommandRows,
}
"""What makes rows of a topic's records."""


def _text(payload: msgspec.Raw) -> bytes:
    """Take the quotes off; bytes, since a column must not mix them with texts."""
    try:
        return msgspec.json.decode(payload, type=str).encode()
    except msgspec.DecodeError as error:
        raise InvalidMessage(f"a base64 payload is a text: {error}") from error
