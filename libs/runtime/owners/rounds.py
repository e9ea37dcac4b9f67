"""Asking the owners of partitions, and their successors where they do not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from libs.runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from libs.topics.messages.hub import PartitionsOwned

    from .follow import Owners

ROUNDS: Final = 2

READS = metrics.counter(
    "owners_reads",
    "Reads of rows by partition: answered, asked again because the owner did not answer, or unavailable in the end.",
    ("service", "table", "outcome"),
)


class Rounds:
    """``patience``: seconds to wait for the claim of another owner."""

    def __init__(self, owners: Owners, patience: float) -> None:
        self._owners, self._patience = owners, patience

    async def ask(
        self,
        service: str,
        table: str,
        partitions: Iterable[int],
        ask: Callable[[PartitionsOwned, list[int]], Awaitable[Iterable[int]]],
    ) -> set[int]:
        """Ask the owners of partitions, all at once, and the new owners of those that were not answered for.

        ``ask(owner, partitions)`` returns the partitions that the owner answered for. Returns what is left.
        """
        left = set(partitions)
        owners: Mapping[int, PartitionsOwned] = self._owners.of(service, table)
        for number in range(ROUNDS):
            if number:
                READS.labels(service, table, "asked_again").inc(len(left))
                owners = await self._successors(service, table, left, owners)
            groups: dict[str, tuple[PartitionsOwned, list[int]]] = {}
            for partition in sorted(left & owners.keys()):
                owner = owners[partition]
                groups.setdefault(owner.url, (owner, []))[1].append(partition)
            asking = [ask(owner, asked) for owner, asked in groups.values()]
            answered = [await asking[0]] if len(asking) == 1 else await asyncio.gather(*asking)
            told = left & set[int]().union(*answered)
            READS.labels(service, table, "answered").inc(len(told))
            left -= told
            if not left:
                break
        READS.labels(service, table, "unavailable").inc(len(left))
        return left

    async def _successors(
        self, service: str, table: str, partitions: Iterable[int], asked: Mapping[int, PartitionsOwned]
    ) -> dict[int, PartitionsOwned]:
        """Wait for other claims than those that were asked; returns what came in time."""
        until = asyncio.get_running_loop().time() + self._patience
        numbers = list(partitions)
        waits = (self._owners.another(service, table, number, asked.get(number), until) for number in numbers)
        claims = await asyncio.gather(*waits)
        return {number: claim for number, claim in zip(numbers, claims, strict=True) if claim is not None}
