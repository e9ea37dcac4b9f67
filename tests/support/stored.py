"""Events straight into ClickHouse, as the sink would store them as one block: for tests of what is asked there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import Producer

from libs.topics.codec import encode
from services.timeseries.blocks import Block, Plan
from services.timeseries.rows import MAKERS
from services.timeseries.store import Store
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clickhouse_connect.driver.client import Client

    from libs.topics.messages.base import Message


class _Record(msgspec.Struct, frozen=True):
    at: int
    content: bytes

    def offset(self) -> int:
        return self.at

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 1, 0


def store(client: Client, topic: str, events: Sequence[Message], *, first: int = 0) -> None:
    """Store events of a topic, the first one at offset ``first`` of partition 0."""
    rows = MAKERS[topic](topic, 0)
    for offset, event in enumerate(events, first):
        rows.add(_Record(offset, encode(event)))
    assert not rows.dead_letters, rows.dead_letters[0].error
    block = Block(topic, unique("topic"), 0, Plan(first, first + len(events) - 1), rows)
    Store(client, Producer({})).put(block, threading.Event())
