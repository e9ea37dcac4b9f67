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
    """``presence.inbox``: whoever watches a source of connection events still hears it. A broadcast.

    All that the source had said before stands before it in the inbox. A source that never renewed has no lease.
    """

    source: str
    holder: str
    """Who watches: the MQTT client id of the session."""
    expires_at: Millis
    """By the holder's clock. Without another renewal until then, nobody knows whether the source's devices are
    connected. Of two leases of a source the later end counts."""
    partition: int
    ingested_at: Millis
