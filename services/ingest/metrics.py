"""Ingest's metrics. Counted in `books` and by hand; written here in small intervals, off the path of messages."""

from __future__ import annotations

from typing import Final

from libs.runtime.metrics import counter, gauge, histogram

from .books import Account, Books

RECEIVED: Final = counter("ingest_received", "Messages taken from the broker, redelivered ones included.")
SETTLED: Final = counter(
    "ingest_settled",
    "Messages that are done with: produced, dead_lettered, dropped or absorbed (redelivered, but in Kafka already). "
    "Received = the sum of these + in flight.",
    ("account",),
)
IN_FLIGHT: Final = gauge("ingest_in_flight", "Messages received whose records Kafka has not acknowledged yet.")
ACKNOWLEDGED: Final = counter("ingest_acknowledged", "Messages acknowledged towards the broker.")
EXTRA: Final = counter("ingest_extra_records", "Records that stand for no message, such as activity marks.")
DROPPED: Final = counter("ingest_dropped", "Messages for which nothing is written, by reason.", ("reason",))
LETTERS: Final = counter("ingest_dead_letters", "Dead letters handed to the producer, by reason.", ("reason",))
CONNECTIONS: Final = counter("ingest_connections", "Connections that the broker accepted.")
CONNECTED: Final = gauge("ingest_connected", "1 while the session is connected and subscribed.")
PUBACK_SECONDS: Final = histogram("ingest_puback_seconds", "From a message's receipt to its PUBACK.")
NOTE_SECONDS: Final = gauge("ingest_note_moved_seconds", "When the resume note was moved last, Unix time.")
TAIL_RECORDS: Final = gauge("ingest_tail_records", "Records read at the last resume to recognise redelivery.")

LEASE_SECONDS: Final = gauge(
    "ingest_lease_renewed_seconds", "When a source's lease was renewed last, Unix time.", ("source",)
)
LISTINGS: Final = counter(
    "ingest_listings",
    "Readings of the broker's list of clients by outcome: complete, failed (what was known before still stands).",
    ("outcome",),
)


class Meters:
    """Turns standing counts into increments."""

    def __init__(self) -> None:
        self._received = self._acknowledged = self._extra = self._connections = 0
        self._settled = [0] * len(Account)

    def publish(self, books: Books, *, in_flight: int, connections: int, connected: bool) -> None:
        RECEIVED.inc(books.received - self._received)
        ACKNOWLEDGED.inc(books.acknowledged - self._acknowledged)
        EXTRA.inc(books.extra - self._extra)
        CONNECTIONS.inc(connections - self._connections)
        for account, count in zip(Account, books.settled, strict=True):
            SETTLED.labels(account.name.lower()).inc(count - self._settled[account])
        IN_FLIGHT.set(in_flight)
        CONNECTED.set(connected)
        self._received, self._acknowledged, self._extra = books.received, books.acknowledged, books.extra
        self._connections, self._settled = connections, list(books.settled)
