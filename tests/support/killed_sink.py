"""A sink that stores a topic's past through kills at the worst moments."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.polling import eventually
from tests.support.records import produce
from tests.support.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from devstack.stack import Stack

INSERTERS = 2
EVERY_SECOND_HANGS = Fault("none"), Fault("slow", seconds=600)


@contextmanager
def killed_twice(
    brokers: Stack, folder: Path, topic: str, records: Sequence[tuple[bytes, bytes]], *, block_rows: int
) -> Iterator[Sink]:
    """Write (key, value) records, and kill the sink twice where each inserter waits with a block that is half stored.

    ``block_rows``: of each insert; so few that every inserter has several.
    """
    with (
        FaultyProxy(brokers.clickhouse_url) as proxy,
        Sink(brokers, folder, clickhouse_url=proxy.url, block_rows=block_rows, inserters=INSERTERS) as sink,
    ):
        sink.await_ready()
        proxy.fail(*EVERY_SECOND_HANGS)
        produce(brokers.kafka, topic, records)
        for _ in range(2):
            eventually(lambda: proxy.failed >= 2 * INSERTERS, 60, describe="two inserts that hang")
            assert sink.end(signal.SIGKILL) == -signal.SIGKILL
            proxy.heal()  # what hung goes on to ClickHouse, behind the back of the next life
            proxy.fail(*EVERY_SECOND_HANGS)
            sink.start()
        proxy.heal()
        yield sink
