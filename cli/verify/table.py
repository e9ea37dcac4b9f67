"""The live table of documents, asked of the workers that own it."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from libs.runtime.owners.follow import Owners
from libs.runtime.owners.reads import OwnerReads
from libs.topics.messages.shadow_views import StoredShadows

from .survey import shown
from .track import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from libs.runtime.settings import KafkaSettings

    from .survey import Shown

T = TypeVar("T")

SERVICE: Final = "shadow"
TABLE: Final = "documents"
VIEW: Final = "stored"
AT_ONCE: Final = 200
"""Devices of one question: a device's documents may have 512 KiB, and mostly have one."""
PATIENCE: Final = 15.0
"""Seconds for an answer, and for Kafka to tell who owns what."""

_stored = msgspec.json.Decoder(StoredShadows).decode


class Table:
    """Raises TimeoutError where Kafka does not tell who owns the rows."""

    def __init__(self, kafka: KafkaSettings, partitions: int) -> None:
        self._owners, self._partitions = Owners(kafka), partitions

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(PATIENCE):
            await self._owners.start()
        self._reads = OwnerReads(self._owners, partitions=self._partitions, timeout=PATIENCE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reads.close()
        await self._owners.stop()

    async def ask(self, devices: list[str]) -> tuple[dict[str, Shown], set[str]]:
        """Return what is shown by keys of documents, and the devices for which nobody answers."""
        answer = await self._reads.batch(SERVICE, TABLE, VIEW, devices)
        told = (one for raw in answer.found.values() for one in _stored(raw).documents)
        return {key_of(one.product_id, one.device_id, one.shadow): shown(one) for one in told}, {*answer.unavailable}


def pieces(items: Iterable[T], size: int = AT_ONCE) -> Iterator[list[T]]:
    left = iter(items)
    while piece := list(islice(left, size)):
        yield piece
