"""Ingest's metrics. Counted in `books` and by hand; written here in small intervals, off the path of messages."""

from __future__ import annotations

from typing import Final

from libs.runtime.metrics import counter, gauge, histogram

from .books import Account, Books

SHARD: Final = ("shard",)

SHARDS: Final = gauge("ingest_shards", "Shards that the group has assigned to this process; 0: a standby.")
HANDOVERS: Final = counter(
    "ingest_handovers",
    "Sessions that began or ended here: proved (taken up), revoked, lost, lapsed (no proof of ownership for too long) "
    "or stopping.",
    ("shard", "cause"),
)
RECEIVED: Final = counter("ingest_received", "Messages taken from the broker, redelivered ones included.", SHARD)
SETTLED: Final = counter(
    "ingest_settled",
    "Messages that are done with: produced, dead_lettered, dropped, absorbed (redelivered, but in Kafka "
    "already) or returned (given up here unconfirmed; the broker delivers it again). "
    "Received = the sum of these + in flight.",
    ("shard", "account"),
)
IN_FLIGHT: Final = gauge("ingest_in_flight", "Messages received whose records Kafka has not acknowledged yet.", SHARD)
ACKNOWLEDGED: Final = counter("ingest_acknowledged", "Messages acknowledged towards the broker.", SHARD)
EXTRA: Final = counter("ingest_extra_records", "Records that stand for no message, such as activity marks.", SHARD)
DROPPED: Final = counter(
    "ingest_dropped",
    "Messages for which nothing is written, by reason. Of mosquitto's log: connection_refused (wrong credentials, or "
    "those of nobody or of a disabled device), no_user_name (refused, too), internal_client, self_registration, "
    "log_line (about no device).",
    ("shard", "reason"),
)
LETTERS: Final = counter("ingest_dead_letters", "Dead letters handed to the producer, by reason.", ("shard", "reason"))
CONNECTIONS: Final = counter("ingest_connections", "Connections that the broker accepted.", SHARD)
CONNECTED: Final = gauge("ingest_connected", "1 while the session is connected and subscribed.", SHARD)
PUBACK_SECONDS: Final = histogram("ingest_puback_seconds", "From a message's receipt to its PUBACK.", SHARD)
NOTE_SECONDS: Final = gauge("ingest_note_moved_seconds", "When the resume note was moved last, Unix time.", SHARD)
TAIL_RECORDS: Final = gauge("ingest_tail_records", "Records read at the last resume to recognise redelivery.", SHARD)

LEASE_SECONDS: Final = gauge(
    "ingest_lease_renewed_seconds", "When a source's lease was renewed last, Unix time.", ("source",)
)
LISTINGS: Final = counter(
    "ingest_listings",
    "Readings of the broker's list of clients by outcome: complete, failed (what was known before still stands).",
    ("outcome",),
)


class Meters:
    """Turns a bridge's standing counts into increments, so that a shard's counters outlive its bridges."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._received = self._acknowledged = self._extra = self._connections = 0
        self._settled = [0] * len(Account)

    def publish(self, books: Books, *, in_flight: int, connections: int, connected: bool) -> None:
        shard = self._shard
        RECEIVED.labels(shard).inc(books.received - self._received)
        ACKNOWLEDGED.labels(shard).inc(books.acknowledged - self._acknowledged)
        EXTRA.labels(shard).inc(books.extra - self._extra)
        CONNECTIONS.labels(shard).inc(connections - self._connections)
        for account, count in zip(Account, books.settled, strict=True):
            SETTLED.labels(shard, account.name.lower()).inc(count - self._settled[account])
        IN_FLIGHT.labels(shard).set(in_flight)
        CONNECTED.labels(shard).set(connected)
        self._received, self._acknowledged, self._extra = books.received, books.acknowledged, books.extra
        self._connections, self._settled = connections, list(books.settled)
