"""What a table is to the sink. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from libs.topics.topic import FOREVER

DAY: Final = 24 * 60 * 60 * 1000
TIME: Final = "DateTime64(3, 'UTC')"
"""Written as whole milliseconds since 1970."""
POSITION: Final = (("topic", "String"), ("partition", "UInt16"), ("offset", "UInt64"), ("id", "String"))
"""Where an event stands in Kafka, and its id."""

Columns: TypeAlias = list[Sequence[Any]]
"""One sequence per column of a table, in its order, all of the same length."""


class Table(msgspec.Struct, frozen=True):
    """A table without the columns that ClickHouse fills."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """Name and type as sent. Where the table has LowCardinality(String), plain text is: the server builds the
    dictionary faster than we could."""
    time: str
    """The column by which its rows age."""
    retention_ms: int
    """As in the table's TTL: ClickHouse takes older rows and drops them at the next merge, without a word.
    `FOREVER`: it has none."""

    def expired(self, columns: Columns, now: int) -> int:
        """Count the rows that ClickHouse will not keep; ``now``: milliseconds. The TTL counts whole seconds."""
        if self.retention_ms == FOREVER:
            return 0
        times = columns[[name for name, _ in self.columns].index(self.time)]
        oldest = (now - self.retention_ms) // 1000 * 1000 + 1000
        return 0 if min(times, default=oldest) >= oldest else sum(time < oldest for time in times)
