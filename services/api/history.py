"""Asks ClickHouse, on threads of its own: its client waits for answers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from clickhouse_connect.driver.exceptions import DatabaseError

from libs.runtime import logs, metrics
from libs.runtime.clickhouse import reader
from libs.runtime.clickhouse.outages import is_outage

from .problems import Problem, busy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clickhouse_connect.driver.client import Client

    from libs.runtime.settings import ClickHouseSettings

    from .queries import Question
    from .settings import HistorySettings

log = logs.get(__name__)

TOO_MUCH: Final = frozenset({158, 159, 160, 241, 307, 396})
"""ClickHouse's codes for a question that would read, hold or answer too much, or takes too long."""
NOT_THERE: Final = frozenset({60, 81})
"""Its codes for tables that the time series sink has not made yet."""
MOST_BYTES: Final = 16 << 20
"""Of one answer."""

SECONDS = metrics.histogram("api_history_seconds", "Seconds in which ClickHouse answered a question.")


class History:
    """A part of the hub. ClickHouse may be away when it starts, and at any time."""

    def __init__(self, clickhouse: ClickHouseSettings, settings: HistorySettings) -> None:
        self._clickhouse, self._settings = clickhouse, settings
        self._most = settings.threads + settings.waiting
        self._asked = 0
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="history")
        self._lock = threading.Lock()
        self._client: Client | None = None

    async def start(self) -> None:
        """Nothing is asked before somebody asks."""

    async def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check(self) -> None:
        """It cannot end by itself."""

    async def ask(self, question: Question) -> Sequence[Sequence[Any]]:
        """Return the rows. Raises `Problem`: `unavailable`, or `too_much` where the question is too large."""
        if self._asked >= self._most:
            raise busy("unavailable", f"{self._asked} questions about the past wait already")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._rows, question)
        except DatabaseError as error:
            raise _problem(error) from error
        finally:
            self._asked -= 1

    def _rows(self, question: Question) -> Sequence[Sequence[Any]]:
        limits = {"max_execution_time": self._settings.answer_s, "max_result_bytes": MOST_BYTES}
        with SECONDS.time():
            rows: Sequence[Sequence[Any]] = (
                self._connected().query(question.statement, parameters=question.parameters, settings=limits).result_rows
            )
        return rows

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = reader(self._clickhouse, "api", self._settings.answer_s)
            return self._client


def _problem(error: DatabaseError) -> Problem:
    if error.code in TOO_MUCH:
        return Problem("too_much", "the question reads more than one answer may take")
    if error.code in NOT_THERE:
        return busy("unavailable", "nothing of the past is stored yet")
    if is_outage(error):
        log.warning("ClickHouse does not answer", error=str(error))
        return busy("unavailable", "the store of the past does not answer")
    raise error
