"""The wiring of the guard."""

from __future__ import annotations

import asyncio
import grp
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from libs.runtime import logs
from libs.runtime.compacted import Compacted
from libs.runtime.health import Verdict
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.ops import Ops
from libs.topics.codec import Decoder
from libs.topics.messages.registry_events import DeviceDocument, ProductDocument
from libs.topics.names import REGISTRY_DEVICES, REGISTRY_PRODUCTS

from .broker import Broker
from .keeper import Keeper
from .sessions import Sessions

if TYPE_CHECKING:
    from .settings import GuardSettings

log = logs.get(__name__)

PATIENCE: Final = 60.0
"""Seconds without a look at the files until the process is not live."""


class Service:
    """The process. Raises OSError where a file for TLS is missing or not PEM, LookupError for an unknown group."""

    def __init__(self, settings: GuardSettings) -> None:
        group = grp.getgrnam(settings.guard_group).gr_gid if settings.guard_group else None
        self.keeper = Keeper(
            Path(settings.guard_directory),
            group,
            Broker(Path(settings.guard_pid_file)),
            Sessions(settings.mqtt),
            many_blocks=settings.guard_many_blocks,
        )
        self._devices = Compacted(
            settings.kafka,
            REGISTRY_DEVICES,
            Decoder[DeviceDocument](DeviceDocument),
            on_change=self.keeper.take_devices,
        )
        self._products = Compacted(
            settings.kafka,
            REGISTRY_PRODUCTS,
            Decoder[ProductDocument](ProductDocument),
            on_change=self.keeper.take_products,
        )

    def live(self) -> Verdict:
        beat = self.keeper.beat
        stuck = beat is not None and time.monotonic() - beat > PATIENCE
        return Verdict(ok=not stuck, reason="nobody looks at the files" if stuck else "")

    def ready(self) -> Verdict:
        return self.keeper.verdict

    async def run(self) -> int:
        """Return the exit status at SIGTERM. Raises what ended the following of a topic, and as `Keeper.run`."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reading = asyncio.gather(self._devices.start(), self._products.start())
        told = asyncio.create_task(stop.wait())
        try:
            waits: list[asyncio.Future[Any]] = [reading, told]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                await reading
                log.info("the topics are read", devices=len(self._devices.documents))
                await self.keeper.run(stop, self._check)
        finally:
            reading.cancel()
            told.cancel()
            for topic in (self._devices, self._products):
                await topic.stop()
        return 0

    def _check(self) -> None:
        self._devices.check()
        self._products.check()


def start(settings: GuardSettings) -> int:
    try:
        service = Service(settings)
    except (OSError, LookupError) as error:
        log.critical("files or group", error=str(error))
        return EXIT_CONFIG
    ops = Ops(settings.ops, service.live, service.ready)
    ops.start()
    try:
        return asyncio.run(service.run())
    finally:
        ops.stop()
