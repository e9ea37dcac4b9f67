"""Looks at the hub while the fleet plays: follows Kafka, and asks ClickHouse again and again what is there."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from libs.runtime.clickhouse import connect
from libs.topics import names

from .sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fleet.readers.kafka import KafkaReader
    from libs.runtime.settings import ClickHouseSettings

POLL = 0.05
"""Seconds from the beginning of one question to ClickHouse to that of the next."""

NEW_ROWS = """
SELECT partition, offset, message_id FROM raw_events
WHERE topic = {topic:String}
  AND toInt64(offset) > transform(partition, {partitions:Array(UInt16)}, {offsets:Array(Int64)}, toInt64(-1))
"""


class Background:
    """Repeats ``step`` in a thread of its own until the context ends; what it raises is raised there."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._work = self._pool.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._pool.shutdown()
        if error is None:
            self._work.result()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._step()


def follow(kafka: KafkaReader) -> Background:
    """Keep the reader's evidence fresh. Nobody else may use the reader meanwhile."""
    return Background(lambda: kafka.advance(0.2))


class Poller:
    """Notes when each telemetry row is first found by a query. Rows of one partition appear in the order of offsets."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.sightings = Sightings()
        self._client = connect(settings, "demo")
        self._last: dict[int, int] = {}
        self._next = 0.0

    def run(self) -> Background:
        return Background(self.step)

    def step(self) -> None:
        """Ask once, after what is left of the interval."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + POLL
        parameters: dict[str, Any] = {
            "topic": names.DEVICE_TELEMETRY,
            "partitions": list(self._last) or [0],
            "offsets": list(self._last.values()) or [-1],
        }
        rows = self._client.query(NEW_ROWS, parameters).result_rows
        at = time.time()
        for partition, offset, _ in rows:
            self._last[partition] = max(offset, self._last.get(partition, -1))
        self.sightings.add((message_id for _, _, message_id in rows), at)

    def close(self) -> None:
        self._client.close()
