"""The wiring of the time series sink."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from libs.runtime import logs
from libs.runtime.clickhouse import MigrationError, connect, migrate
from libs.runtime.clickhouse.outages import Abandoned, outlast
from libs.runtime.health import Verdict
from libs.runtime.kafka import DURABLE, KEYED, client_config
from libs.runtime.main import EXIT_CONFIG
from libs.runtime.ops import Ops

from .blocks import Bounds
from .consumer import Sink
from .records import SERVICE
from .store import Store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from .settings import TimeseriesSettings

log = logs.get(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")


class Service:
    """The process from its start, through waiting for ClickHouse, to its end."""

    def __init__(self, settings: TimeseriesSettings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._sink: Sink | None = None

    def run(self) -> int:
        """Return the exit status. What is raised ends the process with 1: its supervisor starts it again."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        ops = Ops(self._settings.ops, live=self.live, ready=self.ready)
        ops.start()
        try:
            client = outlast(self._prepare, self._stopping, self._waiting)
            self._sink = build(self._settings, client)
            if not self._stopping.is_set():
                self._sink.run()
        except MigrationError as error:
            log.error("the database does not fit this version", error=str(error))  # noqa: TRY400 - no fault of code
            return EXIT_CONFIG
        except Abandoned:
            log.info("stopped while waiting for ClickHouse")
        finally:
            ops.stop()
        return 0

    def stop(self) -> None:
        self._stopping.set()
        if self._sink is not None:
            self._sink.stop()

    def live(self) -> Verdict:
        return Verdict(ok=True) if self._sink is None else self._sink.live()

    def ready(self) -> Verdict:
        if self._sink is None:
            return Verdict(ok=False, reason="waiting for ClickHouse")
        return self._sink.ready()

    def _prepare(self) -> Client:
        client = connect(self._settings.clickhouse, SERVICE)
        applied = migrate(client, SERVICE, MIGRATIONS)
        log.info("ClickHouse is ready", migrations_applied=applied)
        return client

    def _waiting(self, error: Exception, delay: float) -> None:
        log.warning("ClickHouse is away", error=str(error), next_attempt_in_s=delay)


def build(settings: TimeseriesSettings, client: Client) -> Sink:
    """Make a sink that writes with ``client``."""
    kafka = settings.kafka
    producer = Producer(client_config(kafka, **DURABLE, **KEYED, **{"message.max.bytes": 2 << 20}))
    return Sink(
        consumer(settings),
        AdminClient(client_config(kafka)),
        Store(client, producer),
        bounds=Bounds(settings.block_rows, settings.block_bytes, settings.block_seconds),
        buffer_bytes=settings.buffer_bytes,
        inserters=settings.inserters,
    )


def consumer(settings: TimeseriesSettings) -> Consumer:
    config = client_config(
        settings.kafka,
        **{
            "group.id": settings.group,
            "partition.assignment.strategy": "roundrobin",  # eager: see consumer.py
            "session.timeout.ms": 10_000,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # every position is given by offsets.read: none is ever guessed
            "queued.max.messages.kbytes": 32 << 10,
        },
    )
    if settings.instance_id:
        config["group.instance.id"] = settings.instance_id
    return Consumer(config)


def start(settings: TimeseriesSettings) -> int:
    return Service(settings).run()
