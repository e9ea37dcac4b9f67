"""Which errors of ClickHouse pass by themselves, and waiting for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
"""Seconds between attempts: doubled each time, up to the longest."""

PASSING: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY: during an upgrade or a backup
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: the server shuts down
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY: the replica has lost its keeper
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS: merges must catch up
        319,  # UNKNOWN_STATUS_OF_INSERT: the token tells on the next attempt
        394,  # QUERY_WAS_CANCELLED
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse error codes that say nothing against the request itself."""


class Abandoned(Exception):
    """``stop`` was set before the action succeeded."""


def is_outage(error: Exception) -> bool:
    """Whether the same request may succeed later.

    True for a server that cannot be reached, for an answer that is not ClickHouse's own (a proxy's 502) and for the
    codes in `PASSING`. Every other error would come again.
    """
    if not isinstance(error, DatabaseError):
        return False
    if error.code is None:
        return type(error) in (DatabaseError, OperationalError)  # the others are raised by the client about its input
    return error.code in PASSING


def outlast(action: Callable[[], T], stop: threading.Event, waiting: Callable[[Exception, float], None]) -> T:
    """Call ``action`` until it succeeds, with growing pauses; ``waiting(error, seconds)`` is told before each.

    Raises `Abandoned` when ``stop`` is set, and at once any error that is not an outage.
    """
    delay = FIRST_DELAY
    while not stop.is_set():
        try:
            return action()
        except DatabaseError as error:
            if not is_outage(error):
                raise
            waiting(error, delay)
        stop.wait(delay)
        delay = min(delay * 2, LONGEST_DELAY)
    raise Abandoned
