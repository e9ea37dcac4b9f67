"""What asks services on the real Kafka, reads from the owners of rows, and writes in the place of a service."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from libs.runtime.owners.follow import Owners
from libs.runtime.owners.reads import OwnerReads
from libs.runtime.requests.client import Requests, RequestsSettings
from libs.topics import names
from tests.support.names import unique
from tests.support.registry.hub import key_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.runtime.settings import KafkaSettings

WITHIN = 60.0


@asynccontextmanager
async def asking(kafka: KafkaSettings) -> AsyncIterator[Requests]:
    requests = Requests(kafka, RequestsSettings(group=unique("replies")))
    await requests.start()
    try:
        yield requests
    finally:
        await requests.stop()


@asynccontextmanager
async def reading(kafka: KafkaSettings) -> AsyncIterator[OwnerReads]:
    owners = Owners(kafka)
    await owners.start()
    reads = OwnerReads(owners, partitions=kafka.partitions)
    try:
        yield reads
    finally:
        await reads.close()
        await owners.stop()


def producer(kafka: KafkaSettings) -> Producer:
    return Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 100_000,
        }
    )


async def of_registry(requests: Requests, message: Any) -> Any:
    return await requests.ask(names.REGISTRY_INBOX, key_of(message), message, WITHIN)
