"""What devices send over HTTP, into Kafka: acknowledged there before it is acknowledged here."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from libs.runtime import logs
from libs.runtime.background import Background
from libs.runtime.kafka import DURABLE, KEYED, client_config

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from libs.runtime.settings import KafkaSettings

log = logs.get(__name__)

DELIVERY_MS: Final = 10_000
"""A record that Kafka has not taken by then is given up, and its sender told."""
POLL: Final = 0.1
"""Seconds of one wait for reports; so long may the end take, too."""
MAX_RECORD: Final = 1_000_000
"""Bytes, as Kafka's own limit is: the largest payload in base64 fits twice."""


class NotDelivered(RuntimeError):
    """Kafka did not take the record in time, or at all. It may be there nevertheless."""


class Uplink(Background):
    """One producer, whose reports are served on a thread of its own. Make it inside the event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._fatal: KafkaException | None = None
        more = {"linger.ms": 2, "delivery.timeout.ms": DELIVERY_MS, "message.max.bytes": MAX_RECORD}
        self._producer = Producer(client_config(kafka, **KEYED, **DURABLE, **more, error_cb=self._on_error))

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Return when every in-sync replica has the record. Raises `NotDelivered`."""
        taken: asyncio.Future[None] = self._loop.create_future()

        def report(error: KafkaError | None, _record: Message) -> None:
            self._loop.call_soon_threadsafe(_settle, taken, error)

        try:
            self._producer.produce(topic, value, key, on_delivery=report)
        except (BufferError, KafkaException) as error:
            raise NotDelivered(f"the record cannot be sent: {error}") from error
        await taken

    def mark(self, topic: str, key: bytes, value: bytes) -> None:
        """Send what nobody waits for; one that is lost comes again with the device's next message."""
        try:
            self._producer.produce(topic, value, key)
        except (BufferError, KafkaException) as error:
            log.warning("mark_not_sent", topic=topic, error=str(error))

    async def _run(self) -> None:
        self._ready.set()
        with ThreadPoolExecutor(1, thread_name_prefix="uplink") as thread:
            while not self._stopping:
                await self._loop.run_in_executor(thread, self._producer.poll, POLL)
                if self._fatal is not None:
                    raise self._fatal
            await self._loop.run_in_executor(thread, self._producer.flush, DELIVERY_MS / 1000)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = KafkaException(error)
        log.warning("uplink", error=str(error), fatal=error.fatal())


def _settle(taken: asyncio.Future[None], error: KafkaError | None) -> None:
    if taken.done():
        return
    if error is None:
        taken.set_result(None)
    else:
        taken.set_exception(NotDelivered(f"Kafka did not take the record: {error}"))
