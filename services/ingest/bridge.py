"""The running bridge: one MQTT session, one producer, one note."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from libs.runtime import logs
from libs.runtime.health import Progress, Verdict
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.mqtt.session import Refused

from .metrics import Meters

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

    from libs.runtime.mqtt.client import Client

    from .notes import Notes
    from .pump import Pump

log = logs.get(__name__)
EXIT_REFUSED = 2
"""The broker wants this session to have one holder, and it is not this process."""
EXIT_KAFKA = 70
"""Kafka's client, or a record, is beyond repair: sysexits' EX_SOFTWARE."""
PUBLISH_EVERY = 0.5
"""Seconds between two updates of the metrics."""


class Bridge:
    def __init__(self, producer: Producer, pump: Pump, notes: Notes, client: Client, *, patience: float) -> None:
        self._producer, self._pump, self._notes, self._client = producer, pump, notes, client
        self._meters, self._progress = Meters(), Progress(patience)
        self._stop, self._beat = asyncio.Event(), time.monotonic()
        self._patience = patience
        self._broken: str | None = None

    def live(self) -> Verdict:
        now, pump = time.monotonic(), self._pump
        if now - self._beat > self._patience:
            return Verdict(ok=False, reason="the event loop stands still")
        moving = self._progress.observe(pump.in_flight, sum(pump.books.settled), now)
        return Verdict(moving, "" if moving else f"{pump.in_flight} messages in flight, and none gets through")

    def ready(self) -> Verdict:
        if not self._client.subscribed:
            return Verdict(ok=False, reason="not subscribed at the broker")
        return Verdict(self._pump.noted, "" if self._pump.noted else "no resume note in Kafka yet")

    def fail(self, reason: str) -> None:
        """Ends the process; callable from any callback of the loop's thread."""
        if self._broken is None:
            log.critical("beyond_repair", reason=reason)
            self._broken = reason
            self._stop.set()

    def kafka_error(self, error: KafkaError) -> None:
        """The producer's error callback, served by its poll: on the loop's thread."""
        if error.fatal():
            self.fail(f"Kafka client: {error}")
        else:
            log.warning("kafka", error=str(error))

    async def run(self) -> int:
        """Until told to stop (SIGTERM, SIGINT) or beyond repair. Returns the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        publisher = loop.create_task(self._publish())
        code = 0
        try:
            await self._client.run(self._stop)
        except Refused as error:
            log.critical("mqtt_refused", error=str(error))
            code = EXIT_CONFIG if error.misconfigured else EXIT_REFUSED
        finally:
            publisher.cancel()
            self._end()
        return EXIT_KAFKA if self._broken else code

    def _end(self) -> None:
        self._producer.purge()
        self._producer.flush(1)
        self._notes.close()
        books = self._pump.books
        log.info("ended", received=books.received, acknowledged=books.acknowledged, in_flight=self._pump.in_flight)

    async def _publish(self) -> None:
        while True:
            self._beat = time.monotonic()
            pump, client = self._pump, self._client
            self._meters.publish(
                pump.books, in_flight=pump.in_flight, connections=client.connections, connected=client.subscribed
            )
            await asyncio.sleep(PUBLISH_EVERY)
