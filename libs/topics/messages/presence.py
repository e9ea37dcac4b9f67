"""``presence.inbox``, ``presence.transitions`` and ``presence.state``: who is connected since when."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from .base import Message, Millis

SessionState: TypeAlias = Literal["online", "offline", "unknown"]

Cause: TypeAlias = Literal[
    "connected",
    "taken_over",
    "disconnected",
    "connection_lost",
    "source_restarted",
    "lease_lapsed",
    "lease_renewed",
    "reconciled",
    "deleted",
]
"""Why a device's session, or the channel that carries it, changed."""


class ConnectionObserved(Message, frozen=True, tag="connection_observed"):
    """A source saw a connection open or close (the canonical event of the device protocol)."""

    product_id: str
    device_id: str
    client_id: str
    channel_id: str | None
    """One TCP connection. None on a close whose source cannot name it."""
    event: Literal["connect", "disconnect", "tcpclean"]
    """``disconnect``: the device said goodbye; ``tcpclean``: the connection is gone."""
    time: Millis
    """When it happened, by the source's clock."""
    source: str
    """Who saw it, such as ``mosquitto:main``. Order is kept within a source, never between two."""
    sequence: int
    """With source, time and event, the identity of an observation: a repeated one is recognised by it.
    Ingest uses the MQTT packet id of the delivery."""
    client_ip: str | None = None
    protocol: int | None = None
    """MQTT protocol level: 3, 4 or 5."""
    keepalive: int | None = None
    """Seconds."""
    reason: str | None = None
    goodbye: bool = False
    """On ``tcpclean``, from a source that reports the goodbye and the close as one: the device had said goodbye."""
    takeover: bool = False
    """The close made room for a newer session of the same client: it says nothing about the newest channel."""
    listing: str | None = None
    """On a connect that was read from the broker's list of clients: the id of that `SourceListed`."""
    ingested_at: Millis = 0
    """Always the last field and 13 digits; see `DataUploaded.received_at`."""


class SourceStarted(Message, frozen=True, tag="source_started"):
    """A source of connection events began anew: all channels that it opened before are closed. A broadcast."""

    source: str
    time: Millis
    sequence: int
    partition: int
    ingested_at: Millis


class SourceListed(Message, frozen=True, tag="source_listed"):
    """A source begins to tell all connections that it has now, by its own list of clients. A broadcast.

    An ordinary `ConnectionObserved` with ``listing`` follows for each of them, under the device's key.
    """

    source: str
    id: str
    """Of the listing, unique for the source. One that has no `SourceListingEnded` was given up, and closes nothing."""
    time: Millis
    """By the source's clock, before the list was asked for: what opened later may be missing in it."""
    partition: int
    ingested_at: Millis


class SourceListingEnded(Message, frozen=True, tag="source_listing_ended"):
    """The list is complete. A broadcast.

    Channels of the source that opened at or before ``time`` and that no connect of this listing named are closed.
    """

    source: str
    id: str
    time: Millis
    """As in the `SourceListed` of the same id."""
    partition: int
    ingested_at: Millis


class TrafficSeen(Message, frozen=True, tag="traffic_seen"):
    """A device sent something; at most one of these per device in 30 s."""

    product_id: str
    device_id: str
    time: Millis


class PresenceChanged(Message, frozen=True, tag="presence_changed"):
    """The state of a device's session, or the channel that carries it, changed."""

    id: str
    """``topic-partition-offset-n`` of the cause: repeated after a crash, it is the same change."""
    product_id: str
    device_id: str
    old: SessionState
    new: SessionState
    cause: Cause
    """``lease_lapsed``: nobody watches the source, so the state is unknown. ``lease_renewed``: it is watched again, and
    nothing has closed the channel. ``reconciled``: the broker's list of clients does not name the channel any more.
    ``deleted``: the device is registered no more; client and channel are those that carried its session."""
    reason: str | None
    """The source's own words on a close."""
    client_id: str
    channel_id: str | None
    """The channel that carries the session now; None when offline."""
    previous_channel_id: str | None
    source: str
    at: Millis
    """When it happened, by the source's clock."""
    observed_at: Millis
    """When the observation was written to Kafka."""
    since: Millis | None = None
    """From when on ``new`` holds, as far as is known now: a late event may settle a time before an earlier change.
    None in records from before this field: then ``at`` says it."""


class OpenChannel(msgspec.Struct, frozen=True):
    client_id: str
    channel_id: str
    opened_at: Millis
    source: str
    client_ip: str | None = None
    protocol: int | None = None
    keepalive: int | None = None


class Session(msgspec.Struct, frozen=True):
    state: SessionState
    """``unknown``: there are open channels, and nobody watches any of their sources."""
    since: Millis | None
    """When the state began; ``unknown``: the last moment of which something is known. None: never connected."""
    channels: tuple[OpenChannel, ...] = ()
    """All that are open as far as is known, oldest first."""


class LastProbe(msgspec.Struct, frozen=True):
    """What the newest `ProbeConcluded` of a device said."""

    probe_id: str
    verdict: Literal["reachable", "unreachable"]
    mode: Literal["strict", "normal", "loose"]
    round_trip_ms: int | None
    at: Millis


class PresenceDocument(Message, frozen=True, tag="presence_document"):
    """The current state of one device. Three facts are kept apart: session, last traffic, last probe."""

    product_id: str
    device_id: str
    session: Session
    last_traffic_at: Millis | None
    updated_at: Millis
    last_probe: LastProbe | None = None
    """None: never probed."""
