"""The work that lane, plain Faust agent and plain loop do alike: count and add up per key, one output per event."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.runtime.lane.model import At, Output, send
from libs.runtime.lane.rows import Row
from libs.runtime.lane.settings import LaneSettings
from libs.runtime.settings import ServiceSettings


class Reading(msgspec.Struct, frozen=True, gc=False):
    """An event of about 170 bytes."""

    device: str
    time: int
    value: int
    padding: str = ""


class Count(Row, kw_only=True):
    number: int = 0
    total: int = 0
    last: int = 0


class Settings(ServiceSettings, frozen=True, kw_only=True):
    lane: LaneSettings = LaneSettings()
    app: Annotated[str, Meta(description="Name of this run; its topics begin with it.")]
    inbox: Annotated[str, Meta(description="Topic to fold.")]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Reading).decode


def output_topic(app: str) -> str:
    return f"{app}-out"


def step(row: Count | None, event: Reading, at: At, shared: str) -> tuple[Count, tuple[Output, ...]]:
    """``shared``: the output topic."""
    count = fold(row, event)
    return count, (send(shared, at.key, answer(event, at.partition, at.offset, count)),)


def fold(row: Count | None, event: Reading) -> Count:
    if row is None:
        return Count(number=1, total=event.value, last=event.time)
    return Count(number=row.number + 1, total=row.total + event.value, last=event.time)


def answer(event: Reading, partition: int, offset: int, count: Count) -> bytes:
    return b"%d %d %d %d" % (event.time, partition, offset, count.number)
