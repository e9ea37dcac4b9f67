"""Leases of sources, and what is known of how well each one is watched. Pure: time is an argument.

A lease says two things: the source still speaks, and all that it had said before stands before the lease in the inbox.
Where a broker has a list of its clients, a source whose events may have been missed gets no lease until it is listed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.hub import LeaseRenewed
from libs.topics.messages.presence import ConnectionObserved, SourceListed, SourceListingEnded
from libs.topics.names import PRESENCE_INBOX

from .model import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SLACK: Final = 5_000
"""Milliseconds by which a node's start may seem to move, since its uptime takes a while to arrive."""


class Standing:
    """Which sources speak, and which must be listed first. ``sources``: all that are watched, by name.

    ``listed``: whether the broker has a list of its clients. If not, each source speaks as long as the session does,
    and what was missed is told as the source's start.
    """

    def __init__(self, sources: Iterable[str], *, listed: bool) -> None:
        self.sources = tuple(sources)
        self._listed = listed
        self._speaking = frozenset[str]() if listed else frozenset(self.sources)
        self._owed = set[str]()
        self._doubts = Counter[str]()
        self._starts: dict[str, int] = {}
        self._listings: dict[str, int] = {}
        self.missed()

    def missed(self) -> None:
        """Events of every source may be lost: a process that begins, or a session without its queue."""
        if self._listed:
            self._owe(*self.sources)

    def seen(self, uptimes: Mapping[str, int | None], now: int) -> None:
        """The broker's own word: running sources, with their uptimes in ms where it tells them.

        A node that was away, or that began anew in between, may hold other connections than it told of.
        """
        self._speaking = frozenset(uptimes) & frozenset(self.sources)
        for source in self.sources:
            uptime = uptimes.get(source)
            start = None if uptime is None else now - uptime
            before = self._starts.get(source)
            if source not in uptimes or (start is not None and before is not None and start > before + SLACK):
                self._owe(source)
            if start is not None:
                self._starts[source] = start

    def due(self, now: int, every: int) -> tuple[str, ...]:
        """Sources to be listed: what is owed, and with ``every`` above 0 whose listing is as many ms old."""
        return tuple(source for source in self.sources if source in self._speaking and self._is_due(source, now, every))

    def doubts(self, source: str) -> int:
        """How often it was found that the source must be listed."""
        return self._doubts[source]

    def listed(self, source: str, now: int, doubts: int) -> None:
        """``doubts``: from before the list was read; a doubt that came since is not settled by it."""
        if doubts == self._doubts[source]:
            self._owed.discard(source)
        self._listings[source] = now

    @property
    def renewable(self) -> tuple[str, ...]:
        return tuple(source for source in self.sources if source in self._speaking and source not in self._owed)

    def _owe(self, *sources: str) -> None:
        self._owed.update(sources)
        self._doubts.update(sources)

    def _is_due(self, source: str, now: int, every: int) -> bool:
        return self._listed and (source in self._owed or 0 < every <= now - self._listings.get(source, now))


def renewals(sources: Iterable[str], holder: str, expires_at: int, partitions: int, now: int) -> tuple[Record, ...]:
    """A lease of each source, in every partition of the inbox. Times in ms."""
    return tuple(
        _broadcast(LeaseRenewed(source, holder, expires_at, partition, now), partition)
        for source in sources
        for partition in range(partitions)
    )


def listed(source: str, listing: str, time: int, partitions: int, now: int) -> tuple[Record, ...]:
    """The beginning of a listing, in every partition. ``time``: the broker's, before it was asked."""
    return tuple(
        _broadcast(SourceListed(source, listing, time, partition, now), partition) for partition in range(partitions)
    )


def ended(source: str, listing: str, time: int, partitions: int, now: int) -> tuple[Record, ...]:
    """The end of a listing that is complete, in every partition."""
    return tuple(
        _broadcast(SourceListingEnded(source, listing, time, partition, now), partition)
        for partition in range(partitions)
    )


def connection(observed: ConnectionObserved) -> Record:
    return Record(PRESENCE_INBOX, device_key(observed.product_id, observed.device_id), encode(observed))


def _broadcast(message: LeaseRenewed | SourceListed | SourceListingEnded, partition: int) -> Record:
    return Record(PRESENCE_INBOX, BROADCAST_KEY, encode(message), partition)
