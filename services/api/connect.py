"""The hub of the real Kafka."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.runtime.compacted import Compacted
from libs.runtime.owners.follow import Owners
from libs.runtime.owners.reads import OwnerReads
from libs.runtime.requests.client import Requests
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.registry_events import ApiKeyDocument, ProductDocument

from .history import History
from .hub import Hub
from .join_mqtt import Desk
from .streaming import Streams
from .uplink import Uplink

if TYPE_CHECKING:
    from .settings import ApiSettings


class Reading:
    """Gives `OwnerReads`, which needs the loop and the owners, the life of a part."""

    def __init__(self, reads: OwnerReads) -> None:
        self._reads = reads

    async def start(self) -> None:
        """Its connections are opened as they are needed."""

    async def stop(self) -> None:
        await self._reads.close()

    def check(self) -> None:
        """It cannot end by itself."""


def connect(settings: ApiSettings) -> Hub:
    """Make the hub of the real Kafka. Call it inside the event loop; `Hub.start` begins."""
    kafka = settings.kafka
    owners, requests = Owners(kafka), Requests(kafka, settings.requests)
    reads = OwnerReads(owners, partitions=kafka.partitions)
    products = Compacted(kafka, names.REGISTRY_PRODUCTS, Decoder[ProductDocument](ProductDocument))
    keys = Compacted(kafka, names.REGISTRY_API_KEYS, Decoder[ApiKeyDocument](ApiKeyDocument))
    uplink = Uplink(kafka)
    history, streams = History(settings.clickhouse, settings.history), Streams(kafka, settings.stream)
    hub = Hub(
        settings,
        requests=requests,
        reads=reads,
        products=products,
        keys=keys,
        uplink=uplink,
        history=history,
        streams=streams,
        clock=lambda: time.time_ns() // 1_000_000,
        parts=(Reading(reads), owners, products, keys, requests, uplink, history, streams),
    )
    if settings.join.mqtt:
        hub.add(Desk(hub, hub.joining))
    return hub
