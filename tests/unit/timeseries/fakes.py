"""Kafka records and events for the sink's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.topics.codec import encode
from libs.topics.messages.telemetry import DataUploaded

if TYPE_CHECKING:
    from libs.topics.messages.base import Encoding

NOW = 1_790_000_000_000


class Fake(msgspec.Struct, frozen=True):
    """Like confluent_kafka's Message, as far as the sink looks at one."""

    at: int
    content: bytes | None
    label: bytes | None = b"p1/d1"
    written_at: int = NOW + 5

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.label

    def value(self) -> bytes | None:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 1, self.written_at


def uploaded(
    offset: int,
    payload: bytes = b'{"t":1.5}',
    *,
    device: str = "d1",
    encoding: Encoding = "json",
    received_at: int = NOW,
) -> Fake:
    event = DataUploaded("p1", device, "weather", f"m{offset}", 7, encoding, msgspec.Raw(payload), received_at)
    return Fake(offset, encode(event))
