"""The running downlink: threads that read Kafka, a loop that speaks MQTT, and how all end together."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Final

from libs.runtime import logs
from libs.runtime.health import Progress, Verdict
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.mqtt.session import Refused

from . import metrics

if TYPE_CHECKING:
    from concurrent.futures import Future

    from libs.runtime.mqtt.client import Client

    from .consumer import Reader
    from .model import Entry, Place
    from .publisher import Publisher

log = logs.get(__name__)

EXIT_REFUSED: Final = 2
"""The broker wants this client id to have one holder, and it is not this process."""
SHOW_EVERY: Final = 0.5
"""Seconds between two updates of the gauges."""


class Bridge:
    """``stop``: seconds that an orderly end may wait for the broker; ``patience``: those without any progress."""

    def __init__(
        self, readers: tuple[Reader, ...], publisher: Publisher, client: Client, *, stop: float, patience: float
    ) -> None:
        self._readers, self._publisher, self._client = readers, publisher, client
        self._patience_at_end, self._patience = stop, patience
        self._progress, self._beat = Progress(patience), time.monotonic()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._connections = 0

    # -- health

    def live(self) -> Verdict:
        """Waiting for a broker that is away is no fault; one that takes messages and acknowledges none is."""
        now, publisher = time.monotonic(), self._publisher
        if now - min(self._beat, *(reader.beat for reader in self._readers)) > self._patience:
            return Verdict(ok=False, reason="the event loop, or the thread of a consumer, stands still")
        moving = self._progress.observe(publisher.in_flight, publisher.done, now)
        return Verdict(moving, "" if moving else f"{publisher.in_flight} messages in flight, and none is acknowledged")

    def ready(self) -> Verdict:
        if not self._client.subscribed:
            return Verdict(ok=False, reason="not connected to the broker")
        joined = all(reader.joined for reader in self._readers)
        return Verdict(joined, "" if joined else "a group has no place for this one yet")

    # -- life

    async def run(self) -> int:
        """Until told to stop (SIGTERM, SIGINT) or refused by the broker. Returns the process's exit status.

        Raises what the thread of a consumer failed with: Kafka is in doubt, and the next start begins at what is
        certain.
        """
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        for reader in self._readers:
            reader.start(self)
        reading = {asyncio.wrap_future(reader.ended) for reader in self._readers}
        session = loop.create_task(self._client.run(self._stop))
        showing = loop.create_task(self._show())
        code = 0
        try:
            await asyncio.wait({*reading, session}, return_when=asyncio.FIRST_COMPLETED)
            if session.done():
                code = self._refused(session)
            self._end()
            await asyncio.wait(reading)
        finally:
            self._stop.set()
            showing.cancel()
            await asyncio.wait({session})
        for ended in reading:
            ended.result()
        return code

    def _end(self) -> None:
        """The readers first: what is under way is acknowledged and committed, the groups left; then the broker."""
        for reader in self._readers:
            reader.leave(self._patience_at_end)

    @staticmethod
    def _refused(session: asyncio.Task[None]) -> int:
        try:
            session.result()
        except Refused as error:
            log.critical("mqtt_refused", error=str(error))
            return EXIT_CONFIG if error.misconfigured else EXIT_REFUSED
        return 0

    async def _show(self) -> None:
        publisher, client = self._publisher, self._client
        while True:
            self._beat = time.monotonic()
            metrics.IN_FLIGHT.set(publisher.in_flight)
            metrics.WAITING.set(publisher.waiting)
            metrics.CONNECTED.set(client.subscribed)
            metrics.CONNECTIONS.inc(client.connections - self._connections)
            self._connections = client.connections
            await asyncio.sleep(SHOW_EVERY)

    # -- from the readers' threads

    def take(self, entries: list[Entry]) -> None:
        self._loop.call_soon_threadsafe(self._publisher.take, entries)

    def release(self, partitions: frozenset[Place], released: Future[None]) -> None:
        self._loop.call_soon_threadsafe(self._publisher.release, partitions, released)

    def drop(self, partitions: frozenset[Place], dropped: Future[None]) -> None:
        self._loop.call_soon_threadsafe(self._publisher.drop, partitions, dropped)
