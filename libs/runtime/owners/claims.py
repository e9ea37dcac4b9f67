"""Who owns a partition, as ``hub.owners`` tells it. Pure.

A worker claims what it serves in a generation of its consumer group. When members come or go, all of them enter the
next generation together, and what they held before is void. So only claims of the newest generation count: a worker
that died without a goodbye, or that cannot hear Kafka and goes on serving, is overruled by the first successor that
claims anything.

Kafka forgets a group that was empty for a week, and counts its generations from 1 again. Within a day nobody still
claims in a generation that has ended; a lower one that is claimed more than `RESTARTED` after all higher ones is
therefore the count begun anew. So workers' clocks must agree within a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.topics.messages.hub import PartitionsOwned

RESTARTED: Final = 24 * 60 * 60 * 1000
"""Milliseconds."""


def routes(records: Iterable[PartitionsOwned]) -> dict[int, PartitionsOwned]:
    """Return the owner's claim of each partition that has one, from the last record of every worker of one table."""
    claims = sorted((record for record in records if record.partitions), key=_age)
    newest, begun = _newest(claims)
    valid = [claim for claim in claims if claim.generation == newest and claim.at >= begun]
    return {number: claim for claim in valid for number in claim.partitions}


def _newest(claims: Iterable[PartitionsOwned]) -> tuple[int, int]:
    """Return the newest generation, and when its count began; ``claims`` from the oldest on."""
    newest, last, begun = -1, 0, 0
    for claim in claims:
        if claim.generation >= newest:
            newest, last = claim.generation, claim.at
        elif claim.at - last > RESTARTED:
            newest, last, begun = claim.generation, claim.at, claim.at
    return newest, begun


def _age(claim: PartitionsOwned) -> tuple[int, int, str]:
    """Order by time; of two claims of one generation the later one wins."""
    return claim.at, claim.generation, claim.worker


class Claims:
    """The topic folded: the last record of every key, and what follows from them."""

    def __init__(self) -> None:
        self._records: dict[bytes, PartitionsOwned] = {}
        self._routes: dict[tuple[str, str], dict[int, PartitionsOwned]] = {}

    def take(self, key: bytes, record: PartitionsOwned | None) -> None:
        """Fold one record; None: it was deleted. The order of different workers' records does not matter."""
        before = self._records.pop(key, None)
        if record is not None:
            self._records[key] = record
        for changed in (before, record):
            if changed is not None:
                self._settle(changed.service, changed.table)

    def _settle(self, service: str, table: str) -> None:
        self._routes[service, table] = routes(
            record for record in self._records.values() if (record.service, record.table) == (service, table)
        )

    def of(self, service: str, table: str) -> Mapping[int, PartitionsOwned]:
        """Return the claims of a table's owners by partition; partitions without an owner are not in it."""
        return self._routes.get((service, table), {})
