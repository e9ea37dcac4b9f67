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
from .connections import LOG_TOPICS, Observer
from .keeper import Keeper
from .notes import Notes
from .outlet import Outlet
from .parse import Parser
from .pump import Pump
from .state import Limits

if TYPE_CHECKING:
    from .settings import IngestSettings

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
    *LOG_TOPICS,
)
"""What the session subscribes to. A topic that two filters match is delivered twice; only ambiguous ones do."""

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
    observer = Observer(settings.source, kafka.partitions)
    notes = Notes(client_config(kafka), f"note-{settings.client_id}", OUTPUTS, settings.tail_limit)
    parser = Parser(observer, settings.max_payload)
    pump = Pump(
        Outlet(producer, parser, Activity(settings.activity * 1000), books),
        notes,
        Keeper(notes, limits),
        books,
        started=observer.started,
        failed=failed,
        limits=limits,
    )
    session = options(settings.mqtt, settings.client_id, FILTERS, receive_max=settings.window)
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
