"""The presence lane without Kafka: one partition, its rows, its shared data and what it published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.runtime.lane.index import Index
from libs.runtime.lane.model import At, Due, Output, Targets, Terms
from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import PresenceChanged, PresenceDocument
from services.presence.forget import deadline
from services.presence.model import Device, Sources
from services.presence.session import terms
from services.presence.step import Broadcast, Event, fold_sources, step
from tests.support.presence.world import T0

if TYPE_CHECKING:
    from collections.abc import Sequence

decode_document: Decoder[PresenceDocument] = Decoder(PresenceDocument)
decode_transition: Decoder[PresenceChanged] = Decoder(PresenceChanged)
rows = Codec(Device, Sources)


class Hub:
    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.rows: dict[bytes, Device] = {}
        self.sources = Sources()
        self.documents: dict[bytes, PresenceDocument] = {}
        self.transitions: list[PresenceChanged] = []
        self.offset = -1

    def apply(
        self, event: Event, *, offset: int | None = None, timestamp: int | None = None, key: bytes | None = None
    ) -> Sequence[Output]:
        """Fold the next record of the inbox; a broadcast is swept as the lane does it."""
        self.offset = self.offset + 1 if offset is None else offset
        when = T0 + self.offset if timestamp is None else timestamp
        if key is None:
            key = BROADCAST_KEY if isinstance(event, Broadcast) else device_key(event.product_id, event.device_id)
        if key != BROADCAST_KEY:
            return self._visit(key, event, self._at(key, when))
        self.sources, targets = fold_sources(self.sources, event, self._at(key, when))
        outputs: list[Output] = []
        for found in self._select(targets):
            outputs += self._visit(found, event, self._at(found, when, swept=True))
        return outputs

    def _at(self, key: bytes, timestamp: int, *, swept: bool = False) -> At:
        return At(names.PRESENCE_INBOX, self.partition, self.offset, timestamp, key, swept)

    def _select(self, targets: Targets | None) -> list[bytes]:
        """Find rows as the lane does."""
        if targets is None:
            return []
        assert isinstance(targets, Due | Terms)
        index = Index(terms, deadline)
        for key, row in self.rows.items():
            index.put(key, row)
        return index.select(targets)

    def _visit(self, key: bytes, event: Event, at: At) -> Sequence[Output]:
        row, outputs = step(self.rows.get(key), event, at, self.sources)
        if row is not None:
            self.rows[key] = row
        else:
            self.rows.pop(key, None)
        for topic, output_key, value, _ in outputs:
            assert output_key == key
            if topic == names.PRESENCE_STATE and value is None:
                del self.documents[key]
            elif topic == names.PRESENCE_STATE:
                self.documents[key] = decode_document(value)
            elif topic == names.PRESENCE_TRANSITIONS:
                self.transitions.append(decode_transition(value))
        return outputs

    def restart(self) -> None:
        """Forget everything but what the changelog holds."""
        self.rows = {key: self._thawed(row) for key, row in self.rows.items()}
        self.sources = msgspec.msgpack.decode(msgspec.msgpack.encode(self.sources), type=Sources)

    @staticmethod
    def _thawed(row: Device) -> Device:
        thawed = rows.thaw(bytes(8) + rows.encode(row))
        assert isinstance(thawed, Device)
        return thawed

    def state(self) -> dict[bytes, PresenceDocument]:
        """The documents, without the times at which they were written."""
        return {key: msgspec.structs.replace(shown, updated_at=0) for key, shown in self.documents.items()}
