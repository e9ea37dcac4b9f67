"""``python -m tests.integration.lane.pair``: two ledgers in one app, with a consumer that can be frozen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp, LaneTransport
from libs.runtime.lane.consumer import SliceConsumer
from tests.integration.lane import app as one
from tests.integration.lane.ledger import TABLE, Settings

SECOND = f"more-{TABLE}"


def second(service: str) -> str:
    """Name of the second ledger: the changelog of its only table is the one of `SECOND` in the app."""
    return f"{service}-more"


class PairSettings(Settings, frozen=True, kw_only=True):
    freezer: Annotated[str, Meta(description="While this file exists, fetches do not come back.")] = "frozen"
    patience_s: Annotated[float, Meta(description="Seconds that a partition may stand still.")] = 60.0


class FreezableConsumer(SliceConsumer):
    """Hangs for good in a fetch that finds the freezer."""

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        if self.app.freezer.exists():
            await asyncio.Event().wait()
        return await super()._wait_next_records(timeout)


class Transport(LaneTransport):
    Consumer = FreezableConsumer


class PairApp(LaneApp):
    freezer: Path

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def start(settings: PairSettings) -> int:
    app = PairApp(settings.service, kafka=settings.kafka, lane=settings.lane)
    app.freezer = Path(settings.freezer)
    app.health.watch.patience, app.health.watch.every = settings.patience_s, settings.patience_s / 6
    one.declare(app, settings, settings.service)
    one.declare(app, settings, second(settings.service), SECOND)
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("pair", PairSettings, start)
