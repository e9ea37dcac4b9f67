"""Blocks of records, and the promises that make each be stored exactly once. Pure.

For every partition, in this order:

1. promise: Kafka's commit of offset *first* carries the block's plan, *first*-*last*, as metadata;
2. store: every insert of the block carries the token *topic-partition-first-last-id-table*, under which ClickHouse
   takes rows once; the id is the topic's own, so that one made anew under an old name is not mistaken for it;
3. settle: the commit of offset *last* + 1. It carries the next block's plan if there is one already, so that a sink
   under load makes one commit per block.

Whoever reads the partition next begins at the committed offset. Where the commit carries a plan, exactly that block is
made again, from the same records, before anything else: what had been stored of it is recognised by its token. Without
a plan nothing after the offset was ever sent. A sink that lost its partition in the middle of a block can only repeat
what its successor does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .records import Rows

if TYPE_CHECKING:
    from .table import Table

_METADATA: Final = re.compile(r"block:(\d{1,19})-(\d{1,19})")


class Plan(msgspec.Struct, frozen=True):
    """A block's first and last offset. There may be gaps between; the next block begins at ``last`` + 1."""

    first: int
    last: int


class Mark(msgspec.Struct, frozen=True):
    """What is committed to Kafka for a partition: all before ``offset`` is stored, and ``promised`` comes next."""

    offset: int
    promised: Plan | None = None

    @property
    def metadata(self) -> str:
        return "" if self.promised is None else f"block:{self.promised.first}-{self.promised.last}"


class UnusableMark(Exception):
    """The commit cannot be continued from without guessing. The message says why and what to do."""


def mark(offset: int, metadata: str) -> Mark:
    """Read a commit. Raises `UnusableMark` for metadata that this service did not write."""
    if not metadata:
        return Mark(offset)
    found = _METADATA.fullmatch(metadata)
    if found is None or int(found[1]) != offset or int(found[2]) < offset:
        raise UnusableMark(f"the commit of offset {offset} carries {metadata[:100]!r}, which is no plan of a block")
    return Mark(offset, Plan(offset, int(found[2])))


def resume(found: Mark | None, low: int, high: int) -> tuple[Mark, int, int]:
    """Decide where to go on: (mark to continue from, offset to read from, number of records that are gone).

    ``found``: the last commit, None for a partition that has none; ``low``, ``high``: the first offset that the
    partition still has, and the next that it will get. Retention may have overtaken the sink: what is left of a
    promised block is still stored under its token. Raises `UnusableMark` where the log ends before the commit.
    """
    if found is None:
        return Mark(low), low, 0
    reached = found.offset if found.promised is None else found.promised.last + 1
    if high < reached:
        raise UnusableMark(
            f"offsets up to {reached} were seen, but the log ends at {high}: the topic was made anew or lost records; "
            "where that was meant, delete the group's offsets to begin again"
        )
    if low <= found.offset:
        return found, found.offset, 0
    if low < reached:
        return found, low, low - found.offset
    return Mark(low), low, low - found.offset


class Bounds(msgspec.Struct, frozen=True):
    """When a block is closed: the first bound that it reaches. The last record may exceed rows and bytes."""

    rows: int
    bytes: int
    seconds: float


class Block(msgspec.Struct, frozen=True):
    topic: str
    topic_id: str
    partition: int
    plan: Plan
    rows: Rows[Any]

    def token(self, table: Table) -> str:
        return f"{self}-{self.topic_id}-{table.name}"

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.plan.first}-{self.plan.last}"
