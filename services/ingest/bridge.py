"""The running bridge of one shard: one MQTT session, one producer, one note."""

from __future__ import annotations

import asyncio
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
PURGE = 1.0
"""Seconds that the producer may take to say what became of the records that it had to drop."""


class Bridge:
    def __init__(self, producer: Producer, pump: Pump, notes: Notes, client: Client, *, patience: float) -> None:
        self._producer, self._pump, self._notes, self._client = producer, pump, notes, client
        self._meters, self._progress = Meters(pump.books.shard), Progress(patience)
        self._stop, self._beat = asyncio.Event(), time.monotonic()
        self._patience = patience
        self._broken: str | None = None
        self._aborted = False
        self._session: asyncio.Task[None] | None = None

    def live(self) -> Verdict:
        now, pump = time.monotonic(), self._pump
        if now - self._beat > self._patience:
            return Verdict(ok=False, reason="the event loop stands still")
        moving = self._progress.observe(pump.waiting, sum(pump.books.settled), now)
        return Verdict(moving, "" if moving else f"{pump.waiting} messages in flight, and none gets through")

    def ready(self) -> Verdict:
        if not self._client.subscribed:
            return Verdict(ok=False, reason="not subscribed at the broker")
        return Verdict(self._pump.noted, "" if self._pump.noted else "no resume note in Kafka yet")

    def fail(self, reason: str) -> None:
        """Ends the process; callable from any callback of the loop's thread."""
        if self._broken is None:
            log.critical("beyond_repair", reason=reason, shard=self._pump.books.shard)
            self._broken = reason
            self._stop.set()

    def kafka_error(self, error: KafkaError) -> None:
        """The producer's error callback, served by its poll: on the loop's thread."""
        if error.fatal():
            self.fail(f"Kafka client: {error}")
        else:
            log.warning("kafka", error=str(error))

    def end(self) -> None:
        """In order: what is under way is acknowledged, the note moved, the broker told. `run` then returns."""
        self._stop.set()

    def abort(self) -> None:
        """At once: what waits for Kafka is dropped, the connection cut. The broker delivers all of it again."""
        self._aborted = True
        self._producer.purge()
        if self._session is not None:
            self._session.cancel()

    async def run(self) -> int:
        """Until `end`, `abort` or beyond repair. Returns the process's exit code; 0: it need not end for this."""
        loop = asyncio.get_running_loop()
        publisher = loop.create_task(self._publish())
        code = 0
        try:
            if not self._aborted:
                self._session = loop.create_task(self._client.run(self._stop))
                await self._session
        except Refused as error:
            log.critical("mqtt_refused", error=str(error), shard=self._pump.books.shard)
            code = EXIT_CONFIG if error.misconfigured else EXIT_REFUSED
        except asyncio.CancelledError:
            if not self._aborted:
                raise
        finally:
            publisher.cancel()
            await self._end()
        return EXIT_KAFKA if self._broken else code

    async def _end(self) -> None:
        self._producer.purge()
        until = time.monotonic() + PURGE
        while len(self._producer) and time.monotonic() < until:
            self._producer.poll(0)
            await asyncio.sleep(0.005)
        self._pump.give_back()
        self._show()
        books = self._pump.books
        log.info("ended", shard=books.shard, received=books.received, acknowledged=books.acknowledged)
        await asyncio.to_thread(self._notes.close)

    def _show(self) -> None:
        pump, client = self._pump, self._client
        self._meters.publish(
            pump.books, in_flight=pump.in_flight, connections=client.connections, connected=client.subscribed
        )

    async def _publish(self) -> None:
        while True:
            self._beat = time.monotonic()
            self._show()
            self._pump.turn()  # an idle producer has errors and log lines to tell, too
            await asyncio.sleep(PUBLISH_EVERY)
