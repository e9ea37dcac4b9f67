"""How well the sources are watched: ticks, leases, starts and lists of clients folded into `Sources`. Pure.

A source's lease lapses when the newest tick is later than its end. The hub that could not hear cannot blame a source:
where two ticks are further apart than `GAP`, a lease that ran at the first of them runs on after the second for as
long as it had still run. All of it is told from what leases and ticks say, not from when they are met, so that leases
of one source and ticks may be interleaved in any way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from .forget import TIES
from .model import Lease, Listing, Sources, Start

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis
    from libs.topics.messages.hub import LeaseRenewed, TimePassed
    from libs.topics.messages.presence import SourceListed, SourceListingEnded, SourceStarted

GAP = 5000
"""Milliseconds between two ticks that are more than a pause."""

DEAF = 24 * 60 * 60 * 1000
"""Milliseconds for which a gap is remembered: longer than any lease runs."""

GAPS = 32
"""Gaps that are remembered, the newest of them. A lease that ran through more of them lapses the earlier for it."""


def tick(sources: Sources, event: TimePassed) -> Sources:
    """Take the newest tick for the time; the same sources come back for an older one."""
    before, now = sources.now, event.at
    if now <= before:
        return sources
    gaps = sources.gaps
    if before >= 0 and now - before > GAP:
        gaps = (*gaps, (before, now))
    if gaps:
        gaps = tuple([gap for gap in gaps if gap[1] > now - DEAF][-GAPS:])
    return _judged(replace(sources, now=now, gaps=gaps))


def renew(sources: Sources, event: LeaseRenewed) -> Sources:
    """Of a source's leases the one that ends last counts."""
    lease, known = Lease(event.expires_at, event.ingested_at), sources.leases.get(event.source)
    if known is not None and lease <= known:
        return sources
    doubts = {source: at for source, at in sources.doubts.items() if source != event.source}
    return _judged(replace(sources, leases={**sources.leases, event.source: lease}, doubts=doubts))


def _judged(sources: Sources) -> Sources:
    """Say of which sources nobody knows now.

    A lapse stands until a newer lease: no later gap extends what had lapsed before it, and those that had extended it
    may be forgotten by now.
    """
    doubts = dict(sources.doubts)
    for source, lease in sources.leases.items():
        if source in doubts:
            continue
        end = end_of(lease, sources.gaps)
        if end < sources.now:
            doubts[source] = end
    return sources if doubts == sources.doubts else replace(sources, doubts=doubts)


def end_of(lease: Lease, gaps: tuple[tuple[Millis, Millis], ...]) -> Millis:
    """When a lease ends, by the hub's hearing: times at which it was deaf do not count."""
    end = lease.expires_at
    for deaf, hearing in gaps:
        if deaf <= end and hearing > lease.ingested_at:
            end += hearing - max(deaf, lease.ingested_at)
    return end


def changed_doubts(before: Sources, after: Sources) -> list[str]:
    """Name the sources of which not the same is known any more."""
    if before.doubts == after.doubts:
        return []
    sources = before.doubts.keys() | after.doubts.keys()
    return sorted(source for source in sources if before.doubts.get(source) != after.doubts.get(source))


def start(sources: Sources, event: SourceStarted) -> Sources:
    """Of a source's starts the newest counts; those at the same time are told apart by their sequences."""
    known = sources.starts.get(event.source)
    sequences: tuple[int, ...] = (event.sequence,)
    if known is not None and event.time <= known.at:
        if event.time < known.at or event.sequence in known.sequences:
            return sources
        sequences = (*known.sequences, event.sequence)[-TIES:]
    return replace(sources, starts={**sources.starts, event.source: Start(event.time, sequences)})


def begin_listing(sources: Sources, event: SourceListed) -> Sources:
    """Take a newer list for the source's: one that is under way is given up."""
    known = sources.listings.get(event.source)
    if known is not None and (event.time, event.id) <= (known.time, known.id):
        return sources
    return replace(sources, listings={**sources.listings, event.source: Listing(event.time, event.id)})


def end_listing(sources: Sources, event: SourceListingEnded) -> Sources:
    """Complete the list that is under way; of another one, or for the second time, the end says nothing."""
    known = sources.listings.get(event.source)
    if known is None or known.id != event.id or known.ended:
        return sources
    return replace(sources, listings={**sources.listings, event.source: replace(known, ended=True)})
