"""The wiring of ingest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, Producer

from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import options
from libs.runtime.ops import Ops
from libs.topics import names

from . import letters
from .activity import Activity
from .books import Books
from .bridge import Bridge
from .connections import Observer
from .keeper import Keeper
from .leases import Standing
from .listing import EmqxRoll
from .notes import Notes
from .outlet import Outlet
from .parse import Parser
from .pump import Pump
from .sources.emqx import Emqx
from .sources.relay import Relay
from .sources.rmqtt import Rmqtt
from .state import Limits
from .watch import Terms, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import Parsed
    from .settings import IngestSettings
    from .sources.common import Broker, Source

FILTERS: Final = (
    "upload_data/#",
    "update_status/#",
    "cmd_resp/#",
    "rpc_resp/#",
    "get/#",
    "update_ota_status/#",
    "m2m/#",
    "/shadow/+/+/update",
    "/shadow/update/#",
    "/sys/+/+/rrpc/response/#",
)
"""What the session subscribes to, beside its sources of connection events. A topic that two filters match is delivered
twice; only ambiguous ones do."""

OUTPUTS: Final = (
    names.DEVICE_TELEMETRY,
    names.PRESENCE_INBOX,
    names.SHADOW_INBOX,
    names.COMMANDS_INBOX,
    names.OTA_INBOX,
    names.APP_DATA_REQUESTS,
    letters.TOPIC,
)
"""Every topic that a message may become a record of: the resume filter looks into all of them."""


def broker(settings: IngestSettings) -> Broker:
    partitions = settings.kafka.partitions
    match settings.broker:
        case "mosquitto":
            return Observer(settings.source, partitions)
        case "emqx":
            return Emqx(settings.nodes, partitions)
        case "rmqtt":
            return Rmqtt(settings.nodes, partitions)


def watch(settings: IngestSettings, source: Broker, outlet: Outlet, books: Books) -> Watch | None:
    """Who renews the leases; None where nobody can: of a cluster only its REST interface knows which nodes run."""
    roll = EmqxRoll(settings.broker_api) if settings.broker_api.url else None
    if roll is None and settings.broker != "mosquitto":
        return None
    terms = Terms(
        holder=settings.client_id,
        partitions=settings.kafka.partitions,
        lease=settings.lease_s,
        listing=settings.listing_s,
        window=settings.window,
    )
    return Watch(outlet, books, Standing(source.names, listed=roll is not None), terms, roll)


def start_of(settings: IngestSettings, source: Broker) -> Callable[[int, int, int], Parsed] | None:
    """What a session without its queue tells: nothing where the broker's list will tell who is still connected."""
    return None if settings.broker_api.url else source.started


def build(settings: IngestSettings) -> Bridge:
    kafka = settings.kafka

    def kafka_error(error: KafkaError) -> None:
        bridge.kafka_error(error)

    def failed(reason: str) -> None:
        bridge.fail(reason)

    producer = Producer(
        client_config(
            kafka,
            **KEYED,
            **DURABLE,
            **{
                "linger.ms": settings.linger,
                "batch.num.messages": 10_000,
                "batch.size": 1_000_000,
                "message.max.bytes": 1_000_000,
                "message.timeout.ms": 0,  # a record is given up by nobody: while Kafka is away, reading stops
                # More than the window and one read from the socket: a full queue would end the connection.
                "queue.buffering.max.messages": max(100_000, 10 * settings.window),
                "reconnect.backoff.max.ms": 1000,
                "error_cb": kafka_error,
            },
        )
    )
    books, limits = Books(), Limits(window=settings.window, stop=settings.stop)
    source = broker(settings)
    more: tuple[Source, ...] = (Relay(),) if settings.relays else ()
    notes = Notes(client_config(kafka), f"note-{settings.client_id}", OUTPUTS, settings.tail_limit)
    parser = Parser(source, settings.max_payload, *more)
    outlet = Outlet(producer, parser, Activity(settings.activity * 1000), books)
    pump = Pump(
        outlet,
        notes,
        Keeper(notes, limits),
        books,
        started=start_of(settings, source),
        failed=failed,
        limits=limits,
        watch=watch(settings, source, outlet, books),
    )
    filters = tuple(filter_ for known in (source, *more) for filter_ in known.filters)
    session = options(settings.mqtt, settings.client_id, (*FILTERS, *filters), receive_max=settings.window)
    bridge = Bridge(producer, pump, notes, Client(session, pump), patience=settings.patience)
    return bridge


def start(settings: IngestSettings) -> int:
    bridge = build(settings)
    ops = Ops(settings.ops, bridge.live, bridge.ready)
    ops.start()
    try:
        return asyncio.run(bridge.run())
    finally:
        ops.stop()
