"""One subscriber's stream, from the first byte to the last."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from libs.runtime import logs, metrics

from . import frames
from .catchup import CatchUp
from .fan import Outbox
from .positions import write
from .problems import Problem, busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from .access import Caller
    from .live import Live
    from .positions import Place
    from .settings import ApiSettings

log = logs.get(__name__)

ENDED = metrics.counter("api_streams_ended", "Streams that the hub ended, by reason.", ("code",))


class Streams:
    """All streams of this process: how many there may be, and how each one goes."""

    def __init__(self, settings: ApiSettings, live: Live, stopping: asyncio.Event) -> None:
        self._kafka, self._settings = settings.kafka, settings.stream
        self._live, self._stopping = live, stopping
        self._open: dict[str, int] = {}
        self._catching_up = asyncio.Semaphore(self._settings.catching_up)

    async def open(
        self, caller: Caller, product_id: str, kinds: frozenset[str], position: Mapping[Place, int], still: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """Return a stream that begins at ``position``, of topics that it does not tell of at their ends.

        ``still``: whether the caller may still listen. Raises `Problem` where there are too many, or Kafka is away.
        """
        raise NotImplementedError
