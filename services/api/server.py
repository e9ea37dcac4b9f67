"""The process: health from the beginning, the hub's parts, then HTTP until a signal."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from libs.runtime import logs
from libs.runtime.health import Verdict
from libs.runtime.ops import Ops

from .app import build
from .connect import connect

if TYPE_CHECKING:
    import socket

    from .hub import Hub
    from .settings import ApiSettings

log = logs.get(__name__)

STUCK_S = 15.0
"""Seconds without a turn of the event loop after which the process is not alive."""


class Server(uvicorn.Server):
    """uvicorn, which tells the hub before it waits for the requests that are under way: streams would never end."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.stopping.set()
        await super().shutdown(sockets)


class Service:
    """The process from its start, through waiting for Kafka, to its end."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._hub: Hub | None = None
        self._turned = time.monotonic()
        self._told_to_end = asyncio.Event()

    def live(self) -> Verdict:
        still = time.monotonic() - self._turned
        return Verdict(ok=still < STUCK_S, reason="" if still < STUCK_S else f"the loop stands still for {still:.0f} s")

    def ready(self) -> Verdict:
        ready = self._hub is not None and self._hub.ready
        return Verdict(ok=ready, reason="" if ready else "not everything is read yet, or the process ends")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what ended a part of the hub."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn replaces them while it serves
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._told_to_end.set))
        hub = self._hub = connect(self._settings)
        try:
            watch = asyncio.create_task(self._watch(hub))
            started = asyncio.create_task(hub.start())
            told = asyncio.create_task(self._told_to_end.wait())
            await asyncio.wait({started, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if started.done():
                started.result()
                await self._serve(hub, watch)
            else:
                started.cancel()
            watch.cancel()
        finally:
            await hub.stop()

    async def _serve(self, hub: Hub, watch: asyncio.Task[None]) -> None:
        server = Server(config(self._settings, build(hub)), hub)

        def end(_watch: asyncio.Task[None]) -> None:
            server.should_exit = True

        watch.add_done_callback(end)
        await server.serve()
        if watch.done():
            watch.result()

    async def _watch(self, hub: Hub) -> None:
        """Turn once a second. Raises what ended a part of the hub."""
        while True:
            self._turned = time.monotonic()
            hub.check()
            await asyncio.sleep(1)


def config(settings: ApiSettings, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.http.host,
        port=settings.http.port,
        loop="none",  # it runs already
        http="httptools",
        ws="none",
        lifespan="off",  # the hub lives longer than the server
        log_config=None,
        access_log=False,  # `gate` tells of each request
        server_header=False,
        timeout_graceful_shutdown=int(settings.http.drain_s),
    )


def start(settings: ApiSettings) -> int:
    async def serve() -> None:
        service = Service(settings)
        ops = Ops(settings.ops, live=service.live, ready=service.ready)
        ops.start()
        try:
            await service.run()
        finally:
            ops.stop()

    uvloop.run(serve())
    return 0
