"""The process: health from the beginning, the hub's parts, then HTTP until a signal."""

from __future__ import annotations

import asyncio
import gc
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

    @property
    def serving(self) -> bool:
        """Whether it listens, and is not told to end."""
        return self.started and not self.should_exit and self._hub.ready

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.stopping.set()
        await super().shutdown(sockets)


class Service:
    """The process from its start, through waiting for Kafka, to its end."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._server: Server | None = None
        self._turned = time.monotonic()
        self._told_to_end = asyncio.Event()

    def live(self) -> Verdict:
        still = time.monotonic() - self._turned
        return Verdict(ok=still < STUCK_S, reason="" if still < STUCK_S else f"the loop stands still for {still:.0f} s")

    def ready(self) -> Verdict:
        ready = self._server is not None and self._server.serving
        return Verdict(ok=ready, reason="" if ready else "not everything is read yet, or the process ends")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what ended a part of the hub."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn replaces them while it serves
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._told_to_end.set))
        hub = connect(self._settings)
        server = self._server = Server(config(self._settings, build(hub)), hub)
        watch = asyncio.create_task(self._watch(hub))
        told = asyncio.create_task(self._told_to_end.wait())
        for task in (watch, told):
            task.add_done_callback(lambda _: setattr(server, "should_exit", True))
        started = asyncio.create_task(hub.start())
        try:
            await asyncio.wait({started, told, watch}, return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                started.result()
                _spare()
                await server.serve()
            if watch.done():
                watch.result()
        finally:
            for task in (started, told, watch):
                task.cancel()
            await hub.stop()

    async def _watch(self, hub: Hub) -> None:
        """Turn once a second. Raises what ended a part of the hub."""
        while True:
            self._turned = time.monotonic()
            hub.check()
            await asyncio.sleep(1)


def _spare() -> None:
    """Take what lives as long as the process out of the collector's sight: each look at it all held requests up."""
    gc.collect()
    gc.freeze()


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
