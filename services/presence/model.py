"""What presence remembers of a device: for each client its newest connection, and what is needed to judge late events.

MQTT allows one connection per client id, so only a client's newest channel can be open; older ones are not kept.
Arrival order within a source is the order in which events are folded, hence no row holds an offset but the lane's own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.runtime.lane.rows import Row
from libs.topics.messages.base import Millis
from libs.topics.messages.presence import Cause


class End(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a channel ended."""

    at: Millis
    source: str
    cause: Cause
    reason: str | None = None
    """The source's own words."""


class Channel(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest connection of a client."""

    id: str
    opened_at: Millis
    source: str
    sequence: int
    client_ip: str | None = None
    protocol: int | None = None
    keepalive: int | None = None
    goodbye_at: Millis | None = None
    """The device said that it is leaving; the connection may still stand."""
    end: End | None = None
    """None: open."""
    rivals: tuple[tuple[int, str], ...] = ()
    """(sequence, channel id) of the same source's earlier connects at ``opened_at``: a repeated one is none that is
    newer. Bounded by `forget.TIES`."""
    listing: str | None = None
    """Id of the last list of clients in which its source named the client, or during which it was opened."""


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came about a channel that is not the newest: its connect may be late, or what came may come again."""

    channel_id: str
    source: str
    goodbye_at: Millis | None = None
    end: End | None = None

    @property
    def at(self) -> Millis:
        """The newest time of it."""
        return max(self.goodbye_at or 0, self.end.at if self.end is not None else 0)


class Moment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest time at which a source reported a close (or a goodbye) without naming the channel."""

    at: Millis
    source: str
    sequences: tuple[int, ...]
    """Of all such reports at this very time; a clock may have whole seconds. Bounded by `forget.TIES`."""
    end: End | None = None
    """What the newest close says; None for a goodbye."""


class Client(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One MQTT client id of a device."""

    id: str
    newest: Channel | None = None
    notes: tuple[Note, ...] = ()
    """At most `forget.CHANNELS`, the newest of them."""
    closes: tuple[Moment, ...] = ()
    """By source; those that are older than the newest connect say nothing any more and are not kept."""
    goodbyes: tuple[Moment, ...] = ()
    """As `closes`."""
    forgotten_until: Millis = -1
    """Newest time of what had to leave ``notes``, or of the clients that had to leave the device before this one came:
    what is not known and not newer is taken for a repetition."""


class Probe(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest probe that came to its verdict."""

    at: Millis
    id: str
    """Of the verdict: of two at the same time the greater id counts, whichever is met first."""
    probe_id: str
    verdict: Literal["reachable", "unreachable"]
    mode: Literal["strict", "normal", "loose"]
    round_trip_ms: int | None


class Device(Row, kw_only=True):
    """The row of one device: all that its document says comes from here."""

    clients: tuple[Client, ...] = ()
    """At most `forget.CLIENTS`, unless more are open."""
    last_traffic_at: Millis | None = None
    forgotten_until: Millis = -1
    """Newest time of the clients that had to leave."""
    ended_at: Millis | None = None
    """When the last one of the clients that had to leave went offline."""
    doubts: tuple[tuple[str, Millis], ...] = ()
    """Those of `Sources.doubts` that have an open channel here, by source: as the device was last shown."""
    last_probe: Probe | None = None
    updated_at: Millis = 0
    """Time of the record that last changed the document."""
    born_at: Millis = -1
    """When the device was last registered, or deleted: what happened before is none of its present life. -1: no
    deletion was heard of, and all of it is one life."""
    version: int = 0
    """Of the registry's event that said so; those of one name grow over all its lives."""
    gone: bool = False
    """It was deleted, and not registered since. The row stays as long as something of the past may come late."""


class Start(msgspec.Struct, frozen=True, array_like=True):
    """The newest start of a source."""

    at: Millis
    sequences: tuple[int, ...]
    """Of all its starts at this very time."""


class Lease(msgspec.Struct, frozen=True, array_like=True, order=True):
    """The lease of a source that ends last."""

    expires_at: Millis
    ingested_at: Millis


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """The newest list of a source's clients."""

    time: Millis
    id: str
    ended: bool = False


class Sources(msgspec.Struct, frozen=True, array_like=True):
    """What a partition knows of the sources of connection events: its shared reference data."""

    starts: dict[str, Start] = {}
    now: Millis = -1
    """The newest tick; -1 before the first."""
    gaps: tuple[tuple[Millis, Millis], ...] = ()
    """(last tick before, first tick after) of times at which the hub could not hear, oldest first."""
    leases: dict[str, Lease] = {}
    doubts: dict[str, Millis] = {}
    """When the leases lapsed of which now nobody knows; derived from the three above."""
    listings: dict[str, Listing] = {}
