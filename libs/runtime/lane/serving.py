"""The service that answers reads of a worker's rows and announces which of them it has."""

# mypy: allow-subclassing-any, allow-untyped-decorators, no-warn-return-any
# (Faust and mode hand over untyped classes)

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from mode import Service

from libs.topics.codec import encode
from libs.topics.messages.hub import PartitionsOwned

from .announcer import Announcer
from .fail import log
from .web import application

if TYPE_CHECKING:
    from .app import LaneApp
    from .health import Owners
    from .settings import ReadsSettings

BEAT: Final = 1.0
"""Seconds between two looks at announcements that Kafka has not taken."""
GOODBYE: Final = 3.0
"""Seconds that the end waits for Kafka to take the goodbye; without it, readers learn from the successor."""
CLOSING: Final = 1.0
"""Seconds that answers under way may take at the end."""


class Serving(Service):
    """Does nothing where no lane has views."""

    def __init__(self, app: LaneApp, settings: ReadsSettings, worker: str, **kwargs: Any) -> None:
        """``worker``: a name that no other worker has and that outlives restarts; empty: host and port."""
        super().__init__(**kwargs)
        self.app: Any = app
        self._settings, self._worker, self._url = settings, worker, ""
        self._runner: web.AppRunner | None = None
        self._announcer: Announcer | None = None
        self._closed = False

    @property
    def needed(self) -> bool:
        return any(lane.views for lane in self.app.lanes.values())

    async def on_start(self) -> None:
        """Bind and announce. Raises OSError when the address is taken or not ours."""
        if not self.needed:
            return
        settings = self._settings
        routes = application(self.app.conf.id, self.app.lanes, lambda: self._closed)
        self._runner = web.AppRunner(routes, access_log=None, shutdown_timeout=CLOSING)
        await self._runner.setup()
        await web.TCPSite(self._runner, settings.host, settings.port).start()
        port = self._runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._url = settings.url or f"http://{host}:{port}"
        self._worker = self._worker or f"{socket.gethostname()}:{port}"
        log.info("answers reads", extra={"url": self._url, "worker": self._worker})
        self._announcer = Announcer(self.app.lane_producer.client)
        self.app.health.on_owners.append(partial(self._heard, asyncio.get_running_loop()))
        self._announce(self.app.health.owners, self.app.consumer_generation_id)

    def _heard(self, loop: asyncio.AbstractEventLoop, owners: Owners) -> None:
        """Hand over to the event loop: at the beginning of a rebalance the consumer's thread calls."""
        if not self._closed:
            loop.call_soon_threadsafe(self._announce, owners, self.app.consumer_generation_id)

    def _announce(self, owners: Owners, generation: int) -> None:
        if self._announcer is None or self._closed:
            return
        for table, partitions in owners.items():
            claim = PartitionsOwned(
                service=self.app.conf.id,
                table=table,
                worker=self._worker,
                url=self._url,
                partitions=tuple(sorted(partitions)),
                generation=generation,
                at=time.time_ns() // 1_000_000,
            )
            self._announcer.put(self._key(table), encode(claim))

    def _key(self, table: str) -> bytes:
        return f"{self.app.conf.id}/{table}/{self._worker}".encode()

    async def say_goodbye(self) -> None:
        """Serve nothing from now on and delete the announcements; called before the partitions are given up."""
        if self._announcer is None or self._closed:
            return
        self._closed = True
        for table in self.app.lanes:
            self._announcer.put(self._key(table), None)
        deadline = time.monotonic() + GOODBYE
        while not self._announcer.beat():
            if time.monotonic() > deadline:
                log.warning("Kafka has not taken the goodbye: readers learn from the successor")
                return
            await asyncio.sleep(0.005)

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            await self.sleep(BEAT)
            if self._announcer is not None:
                self._announcer.beat()
