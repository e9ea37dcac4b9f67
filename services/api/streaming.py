"""Streams of live events, each from its first byte to its last."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from libs.runtime import logs

from . import frames
from .catchup import CatchUp
from .fan import Outbox
from .frames import Record
from .live import Live, NotFollowed
from .positions import write
from .problems import busy
from .serving import ENDED, Serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from libs.runtime.settings import KafkaSettings

    from .positions import Place
    from .settings import StreamSettings

log = logs.get(__name__)


class Streams:
    """All streams of this process, as a part of the hub."""

    def __init__(self, kafka: KafkaSettings, settings: StreamSettings) -> None:
        self.partitions, self.serving = kafka.partitions, Serving(settings)
        self._kafka, self._settings = kafka, settings
        self._live = Live(kafka)
        self._catching_up = asyncio.Semaphore(settings.catching_up)

    async def start(self) -> None:
        await self._live.start()

    async def stop(self) -> None:
        await self._live.stop()

    def check(self) -> None:
        self._live.check()

    async def stream(
        self,
        key_id: str,
        product_id: str,
        kinds: frozenset[str],
        position: Mapping[Place, int],
        *,
        stopping: asyncio.Event,
        allowed: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]:
        """Yield the events of a product, from ``position`` on; of topics that it does not tell of, from now on.

        ``allowed`` is asked now and then. Before anything is yielded, raises `Problem`: too many streams, or no Kafka.
        """
        fan = self._live.fan
        with self.serving.admitted(key_id), self.serving.waking(stopping) as wake:

            def woken() -> None:
                wake.set()
                if outbox.over:
                    ENDED.labels(outbox.code).inc()

            outbox = Outbox(product_id, kinds, self._settings.buffer_bytes, woken)

            def silence() -> bytes:
                return frames.moved(fan.position(outbox))

            try:
                async with self._live.following(outbox.topics):
                    async for told in self._begin(outbox, position, stopping):
                        yield told
                    going_on = self.serving.until_over(
                        outbox, wake, stopping=stopping, allowed=allowed, silence=silence
                    )
                    async for told in going_on:
                        yield told
            except NotFollowed as error:
                raise busy("unavailable", str(error)) from error
            finally:
                fan.part(outbox)

    @asynccontextmanager
    async def hearing(
        self, topic: str, product_id: str, device_id: str | None, *, stopping: asyncio.Event
    ) -> AsyncIterator[asyncio.Queue[Record | None]]:
        """Give what a topic tells of one device, or of a whole product, from now on; None: the process ends.

        Raises `Problem`: no Kafka.
        """
        heard = asyncio.Queue[Record | None]()
        told_to_end = asyncio.create_task(stopping.wait())
        told_to_end.add_done_callback(lambda _: heard.put_nowait(None))

        def listener(record: Record) -> None:
            if record.place[0] == topic:
                heard.put_nowait(record)

        fan = self._live.fan
        fan.listen(product_id, device_id, listener)
        try:
            async with self._live.following((topic,)):
                yield heard
        except NotFollowed as error:
            raise busy("unavailable", str(error)) from error
        finally:
            fan.leave_off(product_id, device_id, listener)
            told_to_end.cancel()

    async def _begin(
        self, outbox: Outbox, position: Mapping[Place, int], stopping: asyncio.Event
    ) -> AsyncGenerator[bytes, None]:
        """Yield what was missed. At the end the subscriber takes part in the fan-out."""
        fan = self._live.fan
        now = {place: at for place, at in fan.vector.items() if place[0] in outbox.topics}
        begin = now | {place: at for place, at in position.items() if place in now}
        if begin == now:
            fan.join(outbox, now)
            yield frames.opening(write(outbox.topics, begin, self.partitions))
            return
        yield frames.opening(write(outbox.topics, begin, self.partitions))
        try:
            async with self._catching_up, CatchUp(self._kafka, outbox, begin) as missed:
                async for told in missed.join(fan):
                    if stopping.is_set():
                        break
                    if told:
                        yield told
        except KafkaException as error:
            log.warning("what a subscriber has missed cannot be read", error=str(error))
            outbox.end("unavailable", "what was missed cannot be read now; connect again to go on from here")
