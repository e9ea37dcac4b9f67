"""The figures of the books: per kind of message what was published, acknowledged and found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from .messages import ARRIVES_IN, STORED
from .plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.topics.messages.presence import PresenceDocument

    from .evidence import Arrival, Transition
    from .truth import Device, Truth


class Entry(msgspec.Struct, frozen=True):
    """One line of the books. Kafka and ClickHouse are counted in records and rows: a double counts twice."""

    kind: Kind
    topic: str
    published: int
    acknowledged: int
    unacknowledged_in_kafka: int
    """Of the unacknowledged ones, those that did arrive."""
    kafka: int | None
    """None where nobody looked."""
    clickhouse: int | None
    """None also for kinds that are not stored there."""

    @property
    def unacknowledged(self) -> int:
        return self.published - self.acknowledged


def entries(truth: Truth, kafka: Iterable[Arrival] | None, clickhouse: Iterable[Arrival] | None) -> list[Entry]:
    """One entry per kind, in the order of the catalogue of kinds."""
    published = Counter(message.kind for message in truth.sent.values())
    acknowledged = Counter(m.kind for m in truth.sent.values() if m.acknowledged_at is not None)
    in_kafka, surprises = _count(truth, kafka or ())
    in_clickhouse, _ = _count(truth, clickhouse or ())
    return [
        Entry(
            kind,
            topic,
            published[kind],
            acknowledged[kind],
            surprises[kind],
            None if kafka is None else in_kafka[kind],
            None if clickhouse is None or kind not in STORED else in_clickhouse[kind],
        )
        for kind, topic in ARRIVES_IN.items()
    ]


def _count(truth: Truth, arrivals: Iterable[Arrival]) -> tuple[Counter[Kind], Counter[Kind]]:
    """Count records per kind, and of them the messages whose PUBACK never came."""
    found: Counter[Kind] = Counter()
    surprises: set[str] = set()
    for arrival in arrivals:
        message = truth.sent.get(arrival.message_id)
        if message is None:
            continue
        found[message.kind] += 1
        if message.acknowledged_at is None:
            surprises.add(message.message_id)
    return found, Counter(truth.sent[message_id].kind for message_id in surprises)


def online(truth: Truth, documents: Mapping[Device, PresenceDocument]) -> int:
    """How many devices of the fleet the hub shows as online."""
    known = (documents.get(device) for device in truth.connections)
    return sum(document is not None and document.session.state == "online" for document in known)


def causes(truth: Truth, log: Iterable[Transition]) -> dict[str, int]:
    """How often each cause stands in the fleet's transition log; a change repeated under its id counts once."""
    distinct = {change.id: change for change in log if (change.product_id, change.device_id) in truth.connections}
    return dict(Counter(change.cause for change in distinct.values()))
