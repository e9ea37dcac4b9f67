"""Folds ``shadow.events`` again, and compares what that makes with the compacted topic and with the live table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from libs.runtime.partitioner import partition_of
from libs.topics.codec import Decoder, InvalidMessage, UnknownKind
from libs.topics.messages.base import Message as Told
from libs.topics.messages.shadow_changes import (
    ShadowChanged,
    ShadowChangeRefused,
    ShadowDocument,
    StatusChanged,
    TaggedPatchApplied,
)
from libs.topics.names import SHADOW_DOCUMENTS

from .survey import Shown, Side, Survey, shown
from .table import pieces
from .track import Difference, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from confluent_kafka import Message

M = TypeVar("M", bound=Told)

PAUSE: Final = 0.3
"""Seconds between two looks at what moved."""

_event = Decoder[Any](ShadowChanged | ShadowChangeRefused | StatusChanged | TaggedPatchApplied)
_document = Decoder[ShadowDocument](ShadowDocument)


class Records(Protocol):
    def catch_up(self) -> Iterator[Message]:
        """Yield the records that came since, up to the present end."""


class Rows(Protocol):
    async def ask(self, devices: list[str]) -> tuple[dict[str, Shown], set[str]]:
        """Return what the owners show by keys of documents, and the devices for which nobody answers."""


class Report(msgspec.Struct, frozen=True):
    """What came of it."""

    documents: int
    """That exist, as the log has it."""
    alike_in_topic: int
    """Of these, and of the deleted ones: those that `shadow.documents` shows, or does not show, as the log has it."""
    alike_in_table: int
    unfounded: int
    """Documents whose log, from where it was read on, has no checkpoint."""
    unanswered: int
    """Devices for whose rows nobody answered."""
    events: int
    repeated: int
    """Events that were met before: they count once."""
    differences: list[Difference]
    unreadable: list[str]
    """Records that are no messages, or lie under a key that is not theirs."""


class Reach(msgspec.Struct, frozen=True):
    """Which devices are looked at, and how much of their log."""

    partitions: int
    """Of the installation."""
    chosen: frozenset[int]
    complete: frozenset[int]
    """Those whose log is read from its very first record on."""

    def has(self, device: str) -> bool:
        return partition_of(device.encode(), self.partitions) in self.chosen

    def has_all_of(self, device: str) -> bool:
        return partition_of(device.encode(), self.partitions) in self.complete


class Verification:
    """Reads log, topic and table one after the other, and then again what moved meanwhile."""

    def __init__(self, events: Records, documents: Records, table: Rows, reach: Reach) -> None:
        """``events`` begins where the log is to be read from, ``documents`` at its beginning."""
        self._events, self._documents, self._table, self._reach = events, documents, table, reach
        self._topic, self._rows = Side(SHADOW_DOCUMENTS), Side("table")
        self._survey = Survey((self._topic, self._rows), complete=reach.has_all_of)
        self._newest: dict[str, Shown | None] = {}
        """What the topic shows of documents that are not settled there."""
        self._unanswered: set[str] = set()
        self._unreadable: list[str] = []

    async def run(self, patience: float) -> Report:
        """``patience``: seconds that a difference gets to turn out as a change under way."""
        tracks = self._survey.tracks
        self._fold()
        self._newest = dict.fromkeys(tracks)
        self._read_topic()
        for key, document in self._newest.items():
            self._topic.put(self._survey.track(key), document)
        await self._ask({device_of(key) for key in tracks})
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while self._unanswered or self._topic.moving(tracks) or self._rows.moving(tracks):
            if loop.time() > until:
                break
            await asyncio.sleep(PAUSE)
            await self._look_again()
        return self._report()

    async def _look_again(self) -> None:
        tracks = self._survey.tracks
        self._fold()
        self._newest = {key: self._newest[key] for key in self._topic.open}
        self._read_topic()
        for key in self._topic.stale(tracks):
            self._topic.put(tracks[key], self._newest[key])
        await self._ask({*map(device_of, self._rows.stale(tracks)), *self._unanswered})
        self._fold()

    def _fold(self) -> None:
        for record in self._events.catch_up():
            event = self._read(record, _event)
            if isinstance(event, ShadowChanged) and self._is_of(record, f"{event.product_id}/{event.device_id}"):
                self._survey.take(event)

    def _read_topic(self) -> None:
        """Note the newest; once some are settled, only of the others."""
        settled = self._topic.alike
        for record in self._documents.catch_up():
            key = text(record.key())
            if key in settled or not self._reach.has(device_of(key)):
                continue
            document = None if record.value() is None else self._read(record, _document)
            if document is None:
                self._newest[key] = None
            elif self._is_of(record, key_of(document.product_id, document.device_id, document.shadow)):
                self._newest[key] = shown(document)

    async def _ask(self, devices: Iterable[str]) -> None:
        names: dict[str, list[str]] = {}
        for key in self._survey.tracks:
            names.setdefault(device_of(key), []).append(key)
        for piece in pieces(devices):
            found, unanswered = await self._table.ask(piece)
            self._unanswered = self._unanswered.difference(piece) | unanswered
            known = (key for device in piece for key in names.get(device, ()))
            for key in dict.fromkeys((*found, *known)):
                if device_of(key) not in unanswered:
                    self._rows.put(self._survey.track(key), found.get(key))

    def _read(self, record: Message, decode: Decoder[M]) -> M | None:
        try:
            return decode(record.value())
        except UnknownKind:
            return None  # a newer version writes it
        except InvalidMessage as error:
            self._unreadable.append(f"{place(record)}: {error}")
            return None

    def _is_of(self, record: Message, key: str) -> bool:
        if text(record.key()) == key:
            return True
        self._unreadable.append(f"{place(record)}: {key}, under the key {text(record.key())}")
        return False

    def _report(self) -> Report:
        survey, sides = self._survey, (self._topic, self._rows)
        for side in sides:
            side.close(survey.tracks)
        differences = [*survey.faults(), *(one for side in sides for one in side.differences.values())]
        return Report(
            documents=sum(track.exists for track in survey.tracks.values()),
            alike_in_topic=len(self._topic.alike),
            alike_in_table=len(self._rows.alike),
            unfounded=max(side.unfounded for side in sides),
            unanswered=len(self._unanswered),
            events=survey.events,
            repeated=survey.repeated,
            differences=sorted(differences, key=lambda one: (one.device, one.shadow or "", one.version)),
            unreadable=self._unreadable,
        )


def device_of(key: str) -> str:
    return "/".join(key.split("/", 2)[:2])


def text(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "backslashreplace")


def place(record: Message) -> str:
    return f"{record.topic()} {record.partition()}@{record.offset()}"
