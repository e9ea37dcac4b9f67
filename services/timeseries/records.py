"""A block's records on their way to columns: what all makers of rows have in common. Pure.

The same records give the same rows in the same order, which is what makes a replayed block the same block. A record of
a kind that this version does not know is counted and skipped: its ids cannot be read, so it would be a row without an
owner; Kafka keeps it, and a newer version can be sent back to it. A record that is broken becomes a dead letter.
Everything else becomes at least one row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

from libs.topics.codec import InvalidMessage, UnknownKind
from libs.topics.messages.base import Message
from libs.topics.messages.deadletters import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .table import Columns, Table

SERVICE: Final = "timeseries"
TIMES: Final = range(4_102_444_800_000)
"""Milliseconds that a row may have: from 1970 until 2100. A time outside would make a partition of its own."""

COUNTS: Final = range(1 << 63)
"""What a version, a duration or a number of devices may be."""
PARTITIONS: Final = range(1 << 16)

OVERHEAD: Final = 100
"""Bytes that a record counts beside its value, so that records without one fill a block too."""

M = TypeVar("M", bound=Message)
Row: TypeAlias = tuple[Any, ...]


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


def bad_time(field: str, time: int) -> InvalidMessage:
    """Say of a time outside `TIMES` that it cannot be stored."""
    return InvalidMessage(f"{field} {time} is not a time between 1970 and 2100 in milliseconds")


def check(event: object, times: Iterable[str], counts: Iterable[str]) -> None:
    """Raise `InvalidMessage` where one of these fields holds what its column cannot. None always fits."""
    for field in times:
        time = getattr(event, field)
        if time is not None and time not in TIMES:
            raise bad_time(field, time)
    for field in counts:
        count = getattr(event, field)
        if count is not None and count not in COUNTS:
            raise InvalidMessage(f"{field} {count} is not a number from 0 to 2**63")


def transposed(table: Table, rows: Sequence[Row]) -> Columns:
    """Make the columns of a table from its rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
