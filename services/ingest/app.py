"""The wiring of ingest."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, Producer

from libs.runtime import logs
from libs.runtime.activity import Activity
from libs.runtime.kafka import DURABLE, KEYED, QUIET, client_config
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import options
from libs.runtime.ops import Ops
from libs.runtime.shards import parse
from libs.topics import names

from . import letters
from .books import Books
from .bridge import Bridge
from .connections import Observer
from .group import Group, member
from .keeper import Keeper
from .leases import Standing
from .listing import EmqxRoll
from .notes import Notes
from .outlet import Outlet
from .parse import Parser
from .pump import Pump
from .replica import Replica
from .shards import FIRST, filters
from .sources.emqx import Emqx
from .sources.relay import Relay
from .sources.rmqtt import Rmqtt
from .state import Limits
from .tenure import QUEUED, Tenure
from .watch import Terms, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.runtime.mqtt.options import Options

    from .model import Record
    from .settings import IngestSettings
    from .sources.common import Broker, Source

log = logs.get(__name__)

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


def roll_of(settings: IngestSettings) -> EmqxRoll | None:
    """The broker's list of its clients, where it has one. Raises OSError where a file for TLS is missing or not PEM."""
    return EmqxRoll(settings.broker_api) if settings.broker_api.url else None


def watch(settings: IngestSettings, holder: str, source: Broker, outlet: Outlet, books: Books) -> Watch | None:
    """Who renews the leases; None where nobody can: of a cluster only its REST interface knows which nodes run."""
    roll = roll_of(settings)
    if roll is None and settings.broker != "mosquitto":
        return None
    terms = Terms(
        holder=holder,
        partitions=settings.kafka.partitions,
        lease=settings.lease_s,
        listing=settings.listing_s,
        window=settings.window,
    )
    return Watch(outlet, books, Standing(source.names, listed=roll is not None), terms, roll)


def start_of(settings: IngestSettings, source: Broker) -> Callable[[int, int, int], tuple[Record, ...]] | None:
    """What a session without its queue tells: nothing where the broker's list will tell who is still connected."""
    return None if settings.broker_api.url else source.started


def build(settings: IngestSettings, shard: int, session: Options, tenure: Tenure) -> Bridge:
    """The bridge of one shard, with a producer and a note of its own."""
    kafka = settings.kafka

    def kafka_error(error: KafkaError) -> None:
        bridge.kafka_error(error)

    def failed(reason: str) -> None:
        bridge.fail(reason)

    def given_up() -> None:
        bridge.abort()

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
                # While Kafka is away, reading stops and records wait; but none longer than until the shard may be
                # another's, so that a process which was frozen does not send what its successor has sent already.
                "message.timeout.ms": round(settings.takeover * QUEUED * 1000),
                # More than the window and one read from the socket: a full queue would end the connection.
                "queue.buffering.max.messages": max(100_000, 10 * settings.window),
                "reconnect.backoff.max.ms": 1000,
                "error_cb": kafka_error,
            },
        )
    )
    books, limits = Books(str(shard)), Limits(window=settings.window, stop=settings.stop)
    source, *more = sources(settings)
    notes = Notes(client_config(kafka, **QUIET), f"note-{session.client_id}", OUTPUTS, settings.tail_limit)
    outlet = Outlet(producer, Parser(source, settings.max_payload, *more), Activity(settings.activity * 1000), books)
    pump = Pump(
        outlet,
        notes,
        Keeper(notes, limits),
        books,
        tenure=tenure,
        started=start_of(settings, source) if shard == FIRST else None,
        failed=failed,
        given_up=given_up,
        limits=limits,
        watch=watch(settings, session.client_id, source, outlet, books) if shard == FIRST else None,
    )
    bridge = Bridge(producer, pump, notes, Client(session, pump), patience=settings.patience)
    return bridge


def sources(settings: IngestSettings) -> tuple[Broker, *tuple[Source, ...]]:
    """Of connection events: the broker itself, and relays where there are some."""
    return (broker(settings), *((Relay(),) if settings.relays else ()))


def sessions(settings: IngestSettings) -> list[Options]:
    """Of every shard. Raises OSError where a file for TLS is missing or not PEM."""
    plan = parse(settings.shards)
    events = tuple(filter_ for source in sources(settings) for filter_ in source.filters)
    return [
        options(
            settings.mqtt, f"{settings.client_id}-{shard}", filters(plan, shard, events), receive_max=settings.window
        )
        for shard in range(len(plan))
    ]


def compose(settings: IngestSettings) -> Replica:
    """The whole process. Raises OSError as `sessions` and `roll_of` do."""
    roll_of(settings)  # a file that is missing must be found now, not when the first shard comes here
    tenure, all_sessions, takeover = Tenure(), sessions(settings), settings.takeover
    member_ = member(client_config(settings.kafka), settings.client_id, settings.instance_id, takeover)
    holder = settings.instance_id or f"{socket.gethostname()}:{os.getpid()}"
    group = Group(member_, tenure, shards=len(all_sessions), holder=holder, takeover=takeover)
    return Replica(
        lambda shard: build(settings, shard, all_sessions[shard], tenure),
        group,
        tenure,
        stop=settings.stop,
        patience=settings.patience,
    )


def start(settings: IngestSettings) -> int:
    try:
        replica = compose(settings)
    except OSError as error:
        log.critical("tls_files", error=str(error))
        return EXIT_CONFIG
    ops = Ops(settings.ops, replica.live, replica.ready)
    ops.start()
    try:
        return asyncio.run(replica.run())
    finally:
        ops.stop()
