"""Messages of the hub to itself: time, answers to requests, ownership of partitions, leases of sources."""

from __future__ import annotations

import msgspec

from .base import Message, Millis


class TimePassed(Message, frozen=True, tag="time_passed"):
    """A clock tick, once per partition of an inbox: the only way in which a fold learns that time went by."""

    partition: int
    at: Millis


class RequestAnswered(Message, frozen=True, tag="request_answered"):
    """``api.replies``: the owner of the key has decided, and this is the result."""

    correlation_id: str
    status: int
    """HTTP status of the answer."""
    body: msgspec.Raw
    """The document to answer with; JSON null where the status says it all."""
    version: int | None
    """Version of the document, for ``ETag``; None for a document without one."""
    at: Millis


class RequestRefused(Message, frozen=True, tag="request_refused"):
    """``api.replies``: the owner of the key has refused; nothing changed."""

    correlation_id: str
    status: int
    code: str
    """Stable, in snake_case, such as ``version_conflict``."""
    detail: str
    """A sentence for people."""
    advice: str
    """What to do about it."""
    current: msgspec.Raw
    """On a version conflict the current document, else JSON null."""
    at: Millis


class PartitionsOwned(Message, frozen=True, tag="partitions_owned"):
    """``hub.owners``: a worker announces which partitions of a table it serves now; an empty list in a rebalance."""

    service: str
    table: str
    """Tables of one service may be spread differently, such as while a version with another one is rolled out."""
    worker: str
    url: str
    """Base address at which the worker answers reads."""
    partitions: tuple[int, ...]
    generation: int
    """Of the consumer group: the newest one holds, and what was claimed in an older one is void."""
    at: Millis


class LeaseRenewed(Message, frozen=True, tag="lease_renewed"):
    """``presence.leases``: the holder still watches a source of connection events."""

    source: str
    holder: str
    expires_at: Millis
    """Without another renewal until then, nobody knows whether the source's devices are connected."""
    ingested_at: Millis
