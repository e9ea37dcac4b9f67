"""The process of a lane service: Faust's worker on uvloop, with health and metrics beside it."""

# mypy: allow-subclassing-any
# (Faust hands over untyped classes)

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import faust
import msgspec
import uvloop

from libs.runtime import metrics
from libs.runtime.ops import Ops

from .counters import MEANINGS

if TYPE_CHECKING:
    from libs.runtime.settings import ServiceSettings

    from .app import LaneApp
    from .health import Owners
    from .lane import Lane

log = logging.getLogger(__name__)

LABELS = ("service", "table")
COUNTERS = {name: metrics.counter(f"lane_{name}", f"Lane: {meaning}.", LABELS) for name, meaning in MEANINGS.items()}
LAG = metrics.gauge(
    "lane_lag", "Lane: records of the inbox that are not acknowledged, as fetches and Kafka tell.", LABELS
)
BACKLOG = metrics.gauge("lane_backlog", "Lane: records fetched and not yet acknowledged.", LABELS)
PARTITIONS = metrics.gauge("lane_partitions", "Lane: partitions that this worker serves.", LABELS)
IN_FLIGHT = metrics.gauge("lane_slices_in_flight", "Lane: slices whose deliveries are not all acknowledged.", LABELS)

OURS = ("app", "consumer", "health", "producer", "recovery", "serving", "store", "ticker")
VERBOSE = ("faust", "mode", "aiokafka", *(f"libs.runtime.lane.{name}" for name in OURS))
"""Loggers of Faust, of its clients and of our classes on top of them: they tell every step of every service's life."""


class Publisher:
    """Carries lanes' counters over to Prometheus; called once a second for each lane."""

    def __init__(self, app: LaneApp) -> None:
        self._app = app
        self._published: dict[str, dict[str, int]] = {}

    def __call__(self, lane: Lane) -> None:
        labels = (lane.service, lane.table.name)
        now = msgspec.structs.asdict(lane.counters)
        before = self._published.get(lane.table.name, {})
        for name, value in now.items():
            COUNTERS[name].labels(*labels).inc(value - before.get(name, 0))
        self._published[lane.table.name] = now
        LAG.labels(*labels).set(self._app.consumer.lag(lane.inbox))
        BACKLOG.labels(*labels).set(self._app.consumer.ranges.backlog(lane.inbox))
        PARTITIONS.labels(*labels).set(len(lane.reads.owned()))
        IN_FLIGHT.labels(*labels).set(len(lane.pipeline))


def _say_owners(owners: Owners) -> None:
    for table, partitions in owners.items():
        log.info("serves partitions", extra={"table": table, "partitions": sorted(partitions)})


class Worker(faust.Worker):
    """Faust's worker without its terminal spinner and without a second of rest at the end."""

    def __init__(self, app: LaneApp, **options: Any) -> None:
        super().__init__(app, **options)
        self.spinner = None

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0.05)  # for connections that are being closed


def run(app: LaneApp, settings: ServiceSettings) -> int:
    """Run until a signal or a failure; returns the exit status: 0 after SIGTERM or SIGINT, 1 after a crash.

    A promise that cannot be kept ends the process at once with `fail.EXIT_FATAL`, topics that do not fit with
    `fail.EXIT_CONFIG`; neither returns here.
    """
    if logging.getLogger().level > logging.DEBUG:
        for name in VERBOSE:
            logging.getLogger(name).setLevel(logging.WARNING)
    app.health.on_second.append(Publisher(app))
    app.health.on_owners.append(_say_owners)
    ops = Ops(settings.ops, app.health.live, app.health.ready)
    ops.start()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the consumer's thread makes a loop of its own
    worker = Worker(
        app,
        loop=asyncio.new_event_loop(),
        override_logging=False,  # the service configured it
        redirect_stdouts=False,
        quiet=True,
    )
    status = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:  # how Faust's worker always ends
        status = int(stop.code or 0)
    finally:
        ops.stop()
    return status
