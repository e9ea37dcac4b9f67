"""Streams that this process serves, whatever they tell: how many, and each until it is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from litestar.response import Stream

from libs.runtime import metrics

from .problems import busy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from .settings import StreamSettings

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

STREAMS = metrics.gauge("api_streams", "Live streams that are open.")
ENDED = metrics.counter("api_streams_ended", "Live streams that the hub ended, by reason.", ("code",))


class Box(Protocol):
    """What one subscriber gets next. As `fan.Outbox`."""

    over: bool
    """What waits is the last."""

    def end(self, code: str, detail: str) -> None:
        """Let this be the last."""

    def drain(self) -> bytes:
        """Take all that waits."""

    def __len__(self) -> int: ...


class Serving:
    """What all streams of the process share."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._open = Counter[str]()

    @contextmanager
    def admitted(self, key_id: str) -> Iterator[None]:
        """Hold one of the streams that the process, and the key, may have. Raises `Problem` ``too_many_streams``."""
        if self._open.total() >= self._settings.subscribers:
            raise busy("too_many_streams", f"this process serves {self._settings.subscribers} streams already")
        if self._open[key_id] >= self._settings.per_key:
            raise busy("too_many_streams", f"the key has {self._settings.per_key} streams already")
        self._open[key_id] += 1
        try:
            with STREAMS.track_inprogress():
                yield
        finally:
            self._open[key_id] -= 1

    @staticmethod
    @contextmanager
    def waking(stopping: asyncio.Event) -> Iterator[asyncio.Event]:
        """Give what wakes a stream: also the end of the process does."""
        wake = asyncio.Event()
        told_to_end = asyncio.create_task(stopping.wait())
        told_to_end.add_done_callback(lambda _: wake.set())
        try:
            yield wake
        finally:
            told_to_end.cancel()

    async def until_over(
        self,
        box: Box,
        wake: asyncio.Event,
        *,
        stopping: asyncio.Event,
        allowed: Callable[[], bool],
        silence: Callable[[], bytes],
    ) -> AsyncGenerator[bytes, None]:
        """Yield what comes. ``allowed`` is asked now and then; ``silence``: what is said where there is nothing."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while True:
            if not wake.is_set():
                try:
                    async with asyncio.timeout(self._settings.heartbeat_s):
                        await wake.wait()
                except TimeoutError:
                    yield silence()
            wake.clear()
            if loop.time() - asked >= self._settings.heartbeat_s:
                asked = loop.time()
                if not allowed():
                    box.end("unauthorized", "the API key is no longer valid")
            if stopping.is_set():
                box.end("stopping", "this process of the API ends; connect again to go on from here")
            if box:
                yield box.drain()
            if box.over and not box:
                return


def answer(first: bytes, rest: AsyncGenerator[bytes, None]) -> Stream:
    """Answer with server-sent events. ``first``: what ``rest`` has yielded already."""
    return Stream(_chained(first, rest), media_type="text/event-stream", headers=HEADERS)


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
