"""Follows ``hub.owners``, so that a process knows at any time whom to ask about a key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from libs.runtime.compacted import Compacted
from libs.topics.codec import Decoder
from libs.topics.messages.hub import PartitionsOwned
from libs.topics.names import HUB_OWNERS

from .claims import Claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.runtime.compacted import Changes
    from libs.runtime.settings import KafkaSettings


class Owners(Compacted[PartitionsOwned]):
    """While Kafka is away it goes on with what it knows."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka, HUB_OWNERS, Decoder[PartitionsOwned](PartitionsOwned), on_change=self._fold)
        self._claims = Claims()

    def of(self, service: str, table: str) -> Mapping[int, PartitionsOwned]:
        """Return the owners' claims by partition, as far as there are owners. Raises as `check`."""
        self.check()
        return self._claims.of(service, table)

    async def another(
        self, service: str, table: str, partition: int, than: PartitionsOwned | None, deadline: float
    ) -> PartitionsOwned | None:
        """Wait for a claim of the partition other than ``than``, until the loop's time ``deadline``; None: none came.

        Raises as `check`.
        """

        def claimed() -> bool:
            return self.of(service, table).get(partition) not in (None, than)

        try:
            await self.until(claimed, deadline - asyncio.get_running_loop().time())
        except TimeoutError:
            return None
        return self.of(service, table)[partition]

    def _fold(self, changes: Changes[PartitionsOwned]) -> None:
        for key, claim in changes:
            self._claims.take(key, claim)
