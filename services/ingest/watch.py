"""Renews the leases of the sources, and tells who is connected where events may have been missed.

The proof behind both is a PINGRESP: the broker handles a connection in order, so it comes after all that the broker had
for the session when the PINGREQ arrived. A broker that holds messages back, because too many are unacknowledged,
would answer before them; hence the proof counts only if fewer than the window can have been unacknowledged then. What
was taken by then is with the producer already, and its order is the inbox's. So a backlog gets no lease until it is
drained.

Listings run beside the renewals: a long one, or one that fails, costs no source its lease but those that it is owed to.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from libs.runtime import logs

from . import leases, metrics
from .books import Account
from .entries import Entry
from .listing import Unlisted
from .outlet import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.runtime.mqtt.session import Link

    from .books import Books
    from .leases import Standing
    from .listing import Roll, Sight
    from .model import Record
    from .outlet import Outlet

log = logs.get(__name__)
LOOK_EVERY: Final = 0.5
"""Seconds between two attempts while there is a backlog."""
PAUSE: Final = 0.005
"""Seconds between two looks whether Kafka takes more of a listing."""
CHUNK: Final = 500
"""Records of a listing that are handed over at once."""


class Flow(Protocol):
    """The messages of one connection; the pump."""

    @property
    def holds_back(self) -> bool: ...
    @property
    def taken(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    def turn(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an installation sets."""

    holder: str
    partitions: int
    """Of the inbox."""
    lease: float
    """Seconds that a lease is valid."""
    listing: float
    """Seconds between two listings; 0: only where events may be missed."""
    window: int
    """Messages that the broker may have under way to the session."""


class Watch:
    """Over one connection after another. ``roll``: None for a broker without a list of its clients."""

    def __init__(
        self,
        outlet: Outlet,
        books: Books,
        standing: Standing,
        terms: Terms,
        roll: Roll | None = None,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._outlet, self._books, self._standing, self._terms = outlet, books, standing, terms
        self._roll, self._clock = roll, clock
        self._renewal = Entry(0, Account.PRODUCED, 0)
        self._settled = asyncio.Event()  # a listing that a lease waits for is complete

    def missed(self) -> None:
        """Events of every source may be lost."""
        self._standing.missed()

    async def watch(self, link: Link, flow: Flow) -> None:
        """Until cancelled."""
        await asyncio.wait([link.suback])  # before it, what the sources say may not reach the session
        listing: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tasks:
            while True:
                began = self._clock()
                if not await self._heard_all(link, flow):
                    await asyncio.sleep(LOOK_EVERY)
                    continue
                self._settled.clear()
                try:
                    sight = await self._look()
                except Unlisted as error:
                    _failed(error)
                else:
                    self._renew(flow, began)
                    if self._roll and sight and (listing is None or listing.done()):
                        listing = tasks.create_task(self._list(flow, self._roll, sight))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._settled.wait(), self._terms.lease / 3)

    async def _heard_all(self, link: Link, flow: Flow) -> bool:
        """Whether all that the sources had said when this was called is with the producer."""
        acknowledged = flow.taken - flow.in_flight
        await link.ping()
        return not flow.holds_back and flow.taken - acknowledged < self._terms.window

    def _renew(self, flow: Flow, began: int) -> None:
        """One renewal under way at most: while Kafka is away they do not pile up."""
        sources, now = self._standing.renewable, self._clock()
        expires_at = began + int(self._terms.lease * 1000)
        if sources and self._renewal.left <= 0 and expires_at > now and not flow.holds_back:
            terms = self._terms
            self._renewal = self._write(flow, leases.renewals(sources, terms.holder, expires_at, terms.partitions, now))
            for source in sources:
                metrics.LEASE_SECONDS.labels(source).set(now / 1000)

    async def _look(self) -> Sight | None:
        """Ask the broker which sources run, if it has an answer. Raises `Unlisted`."""
        if self._roll is None:
            return None
        sight = await self._roll.sight()
        self._standing.seen(sight.uptimes, self._clock())
        return sight

    async def _list(self, flow: Flow, roll: Roll, sight: Sight) -> None:
        """List what is due, each for itself. A listing that is broken off has no end."""
        for source in self._standing.due(self._clock(), int(self._terms.listing * 1000)):
            try:
                await self._list_source(flow, roll, source, sight.time)
            except Unlisted as error:
                _failed(error)

    async def _list_source(self, flow: Flow, roll: Roll, source: str, time: int) -> None:
        """All of the list is read before any of it is written, and all of it is in Kafka before its end is written.

        Raises `Unlisted`.
        """
        now, partitions = self._clock(), self._terms.partitions
        listing, doubts = f"{self._terms.holder}-{now}", self._standing.doubts(source)
        waited_for = source not in self._standing.renewable
        connections = await roll.connections(source, listing, now)
        await self._deliver(flow, leases.listed(source, listing, time, partitions, now))
        await self._deliver(flow, map(leases.connection, connections))
        await self._deliver(flow, leases.ended(source, listing, time, partitions, self._clock()))
        self._standing.listed(source, self._clock(), doubts)
        if waited_for:
            self._settled.set()
        metrics.LISTINGS.labels("complete").inc()
        log.info("source_listed", source=source, listing=listing, connections=len(connections))

    async def _deliver(self, flow: Flow, records: Iterable[Record]) -> None:
        """Returns when Kafka has all of them. Raises `Unlisted` when it does not take one."""
        entries, coming = list[Entry](), iter(records)
        while chunk := tuple(islice(coming, CHUNK)):
            await asyncio.sleep(0)  # the session's turn
            await self._while(flow, lambda: len(self._outlet) > self._terms.window // 2)
            if flow.holds_back:
                raise Unlisted("the session did not stay open for the whole listing")
            entries.append(self._write(flow, chunk))
        await self._while(flow, lambda: any(entry.left > 0 for entry in entries))
        if any(entry.left < 0 for entry in entries):
            raise Unlisted("Kafka did not take all of the listing")

    @staticmethod
    async def _while(flow: Flow, waiting: Callable[[], bool]) -> None:
        while waiting():
            flow.turn()
            await asyncio.sleep(PAUSE)

    def _write(self, flow: Flow, records: tuple[Record, ...]) -> Entry:
        entry = self._outlet.send(0, records, self._clock())
        self._books.extra += len(records)
        flow.turn()
        return entry


def _failed(error: Unlisted) -> None:
    metrics.LISTINGS.labels("failed").inc()
    log.warning("broker_not_listed", error=str(error))
