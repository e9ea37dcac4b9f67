"""The wiring of the guard."""

from __future__ import annotations

import asyncio
import grp
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from libs.runtime import logs
from libs.runtime.compacted import Changes, Compacted
from libs.runtime.health import Verdict
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.ops import Ops
from libs.topics.codec import Decoder
from libs.topics.messages.registry_events import DeviceDocument, ProductDocument
from libs.topics.names import REGISTRY_DEVICES, REGISTRY_PRODUCTS

from .broker import Broker
from .emqx import Kicks
from .emqx_api import EmqxApi
from .keeper import Keeper
from .sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.runtime.background import Background

    from .settings import GuardSettings

log = logs.get(__name__)

PATIENCE: Final = 60.0
"""Seconds without a look at the files until the process is not live."""
TURN: Final = 0.5
"""Seconds between two looks at whether the topics are followed."""


class Service(ABC):
    """The process: follows topics, and keeps a broker to what they say, until it is told to end."""

    def __init__(self, *topics: Background) -> None:
        self._topics = topics

    @abstractmethod
    def live(self) -> Verdict: ...

    @abstractmethod
    def ready(self) -> Verdict: ...

    @abstractmethod
    async def _keep(self, stop: asyncio.Event) -> None:
        """Work from the moment at which the topics are read until told to stop."""

    async def run(self) -> int:
        """Return the exit status at SIGTERM. Raises what ended the following of a topic, and what `_keep` raises."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reading = asyncio.gather(*(topic.start() for topic in self._topics))
        told = asyncio.create_task(stop.wait())
        try:
            waits: list[asyncio.Future[Any]] = [reading, told]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                await reading
                log.info("the topics are read")
                await self._keep(stop)
        finally:
            reading.cancel()
            told.cancel()
            for topic in self._topics:
                await topic.stop()
        return 0

    def _check(self) -> None:
        for topic in self._topics:
            topic.check()


class MosquittoGuard(Service):
    """Keeps mosquitto's files.

    Raises OSError where a file for TLS is missing or not PEM, LookupError for an unknown group.
    """

    def __init__(self, settings: GuardSettings) -> None:
        group = grp.getgrnam(settings.guard_group).gr_gid if settings.guard_group else None
        self.keeper = Keeper(
            Path(settings.guard_directory),
            group,
            Broker(Path(settings.guard_pid_file)),
            Sessions(settings.mqtt),
            many_blocks=settings.guard_many_blocks,
        )
        products = Compacted(
            settings.kafka,
            REGISTRY_PRODUCTS,
            Decoder[ProductDocument](ProductDocument),
            on_change=self.keeper.take_products,
        )
        super().__init__(_devices(settings, self.keeper.take_devices), products)

    def live(self) -> Verdict:
        beat = self.keeper.beat
        stuck = beat is not None and time.monotonic() - beat > PATIENCE
        return Verdict(ok=not stuck, reason="nobody looks at the files" if stuck else "")

    def ready(self) -> Verdict:
        return self.keeper.verdict

    async def _keep(self, stop: asyncio.Event) -> None:
        await self.keeper.run(stop, self._check)


class EmqxGuard(Service):
    """Ends sessions at EMQX, which asks the API who may connect. Raises OSError where a file for TLS is not PEM."""

    def __init__(self, settings: GuardSettings) -> None:
        self._api = EmqxApi(settings.broker_api)
        devices = _devices(settings, self._changed)
        self.kicks = Kicks(self._api, devices.documents.get)
        super().__init__(devices)

    def _changed(self, changes: Changes[DeviceDocument]) -> None:
        self.kicks.changed(changes)

    def live(self) -> Verdict:
        """No restart would help: what the broker has not answered yet is asked again."""
        return Verdict(ok=True, reason="")

    def ready(self) -> Verdict:
        return Verdict(self.kicks.compared, "" if self.kicks.compared else "the broker's sessions are not compared yet")

    async def _keep(self, stop: asyncio.Event) -> None:
        kicking, told = asyncio.create_task(self.kicks.run()), asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await asyncio.wait({kicking, told}, timeout=TURN, return_when=asyncio.FIRST_COMPLETED)
                self._check()
                if kicking.done():
                    kicking.result()
        finally:
            kicking.cancel()
            told.cancel()
            await asyncio.gather(kicking, told, return_exceptions=True)
            await self._api.close()


def _devices(
    settings: GuardSettings, on_change: Callable[[Changes[DeviceDocument]], None]
) -> Compacted[DeviceDocument]:
    decoder = Decoder[DeviceDocument](DeviceDocument)
    return Compacted(settings.kafka, REGISTRY_DEVICES, decoder, on_change=on_change)


def start(settings: GuardSettings) -> int:
    return asyncio.run(_serve(settings))


async def _serve(settings: GuardSettings) -> int:
    try:
        service = EmqxGuard(settings) if settings.guard_broker == "emqx" else MosquittoGuard(settings)
    except (OSError, LookupError) as error:
        log.critical("files or group", error=str(error))
        return EXIT_CONFIG
    ops = Ops(settings.ops, service.live, service.ready)
    ops.start()
    try:
        return await service.run()
    finally:
        ops.stop()
