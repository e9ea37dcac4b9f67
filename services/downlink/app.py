"""The wiring of the downlink."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from libs.runtime import logs
from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import options
from libs.runtime.ops import Ops
from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES

from .bridge import Bridge
from .consumer import Reader
from .credit import Credit
from .publisher import Publisher
from .teller import Teller
from .window import Window

if TYPE_CHECKING:
    from libs.runtime.mqtt.options import Options

    from .settings import DownlinkSettings

log = logs.get(__name__)

GROUPS: Final = {DOWNLINK_MESSAGES: "", APP_P2P: "-p2p"}
"""What is consumed; what the name of the group that does it ends with."""
SHARES: Final = {DOWNLINK_MESSAGES: 0.9, APP_P2P: 0.1}
"""Of the window: what applications send to single clients, however much it is, delays the hub's own by no more."""


def name(settings: DownlinkSettings) -> str:
    """Of this process, among all that publish: client id at the broker, transactions in Kafka."""
    return f"fleetlog-downlink-{settings.instance_id or uuid.uuid4().hex[:12]}"


def session(settings: DownlinkSettings, client_id: str) -> Options:
    """A session that only publishes and leaves nothing behind. Raises OSError where a file for TLS is missing."""
    return dataclasses.replace(options(settings.mqtt, client_id, (), receive_max=1), session_expiry=0)


def consumer(settings: DownlinkSettings, group: str) -> dict[str, Any]:
    """Configure a consumer."""
    config = client_config(
        settings.kafka,
        **{
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "socket.timeout.ms": 10_000,  # a commit to a Kafka that is away must not hold up the end of the process
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # what Kafka has removed is counted: `Reader`
            "fetch.queue.backoff.ms": 2,  # the default of a second would make itself felt after each full queue
            "queued.max.messages.kbytes": 16 << 10,
        },
    )
    return config | ({"group.instance.id": settings.instance_id} if settings.instance_id else {})


def producer(settings: DownlinkSettings, transactional_id: str) -> Producer:
    """Of dead letters."""
    return Producer(
        client_config(
            settings.kafka,
            **KEYED,
            **{
                "transactional.id": transactional_id,
                # After a crash in the middle of one, nobody reads the offsets that it holds for so long.
                "transaction.timeout.ms": 10_000,
                "message.max.bytes": 2 << 20,
            },
        )
    )


def notifier(settings: DownlinkSettings) -> Producer:
    """Of notices."""
    return Producer(
        client_config(
            settings.kafka,
            **KEYED,
            **DURABLE,
            **{
                "linger.ms": settings.linger,
                "batch.num.messages": 10_000,
                # Kafka may be away for as long as it likes: what is not told is not committed.
                "message.timeout.ms": 0,
                # Twice a window at most: one under way to Kafka, one that the broker acknowledges meanwhile.
                "queue.buffering.max.messages": 4 * settings.window,
                "reconnect.backoff.max.ms": 1000,
            },
        )
    )


def credit(settings: DownlinkSettings, share: float) -> Credit:
    """A part of the window, at least one message."""
    return Credit(max(1, int(settings.window * share)), max(1, int(settings.window_bytes * share)))


def build(settings: DownlinkSettings) -> Bridge:
    """Raises OSError where a file for TLS is missing or not PEM."""
    own = name(settings)

    def reader(topic: str, suffix: str) -> Reader:
        config, teller = (
            consumer(settings, settings.group + suffix),
            Teller(lambda: notifier(settings), settings.window),
        )
        return Reader(topic, config, lambda: producer(settings, own + suffix), teller, rooms[topic])

    rooms = {topic: credit(settings, share) for topic, share in SHARES.items()}
    readers = {topic: reader(topic, suffix) for topic, suffix in GROUPS.items()}
    publisher = Publisher(
        Window(),
        settled=lambda step: readers[step.place.topic].settled(step),
        forgotten=lambda part: rooms[part.place.topic].give_back(part.messages, part.size),
        limit=settings.window,
    )
    return Bridge(
        tuple(readers.values()),
        publisher,
        Client(session(settings, own), publisher),
        stop=settings.stop,
        patience=settings.patience,
    )


async def serve(bridge: Bridge, settings: DownlinkSettings) -> int:
    ops = Ops(settings.ops, bridge.live, bridge.ready)
    ops.start()
    try:
        return await bridge.run()
    finally:
        ops.stop()


def start(settings: DownlinkSettings) -> int:
    try:
        bridge = build(settings)
    except OSError as error:
        log.critical("tls_files", error=str(error))
        return EXIT_CONFIG
    return asyncio.run(serve(bridge, settings))
