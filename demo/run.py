"""The demo's middle part: a fleet plays against a running hub, and everything is compared."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from devstack.ports import HOST
from fleet import books, dataset
from fleet.audit import Audit
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import plan
from fleet.readers.clickhouse import ClickHouseReader
from fleet.readers.kafka import KafkaReader
from libs.runtime.clickhouse import connect
from libs.runtime.settings import ClickHouseSettings, KafkaSettings

from . import questions, report, watch
from .progress import Snapshot, display

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from rich.console import Console

    from devstack.places import Places
    from fleet.truth import Truth

    from .progress import Display
    from .questions import Answer
    from .report import Section

T = TypeVar("T")

REFRESH = 0.2
"""Seconds between two looks at the figures."""


class Terms(msgspec.Struct, frozen=True):
    devices: int
    seconds: int
    seed: int
    prefix: str | None
    """Of the product ids; None: a new one, since the hub may know devices of an earlier run."""
    patience: float
    """Seconds that the hub gets to catch up."""


class Instruments:
    """Everything that looks at the hub."""

    def __init__(self, hub: Places, ends: ExitStack) -> None:
        clickhouse = ClickHouseSettings(url=hub.clickhouse_url)
        self.kafka = KafkaReader(KafkaSettings(bootstrap=hub.kafka))
        ends.callback(self.kafka.close)
        rows = ClickHouseReader(clickhouse)
        ends.callback(rows.close)
        self.poller = watch.Poller(clickhouse)
        ends.callback(self.poller.close)
        self.audit = Audit(self.kafka, rows)
        self._settings = clickhouse

    def answers(self) -> list[Answer]:
        client = connect(self._settings, "demo")
        try:
            results = [(question, client.query(question.sql)) for question in questions.QUESTIONS]
        finally:
            client.close()
        return [questions.answer(question, result.column_names, result.result_rows) for question, result in results]


class Stage:
    """Shows the figures while something is awaited."""

    def __init__(self, terms: Terms, truth: Truth, instruments: Instruments, screen: Display) -> None:
        self._terms = terms
        self._truth = truth
        self._instruments = instruments
        self._screen = screen

    async def during(self, phase: str, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        try:
            while not task.done():
                self._screen.show(self._snapshot(phase))
                await asyncio.wait({task}, timeout=REFRESH)
        finally:
            task.cancel()
            await asyncio.wait({task})
        return task.result()

    def _snapshot(self, phase: str) -> Snapshot:
        truth, evidence = self._truth, self._instruments.kafka.evidence
        return Snapshot(
            phase=phase,
            elapsed=max(0.0, time.time() - truth.started_at),
            seconds=self._terms.seconds,
            devices=self._terms.devices,
            online=truth.online(),
            hub_online=books.online(truth, evidence.documents),
            published=len(truth.sent),
            acknowledged=truth.acknowledgements(),
            kafka=len(evidence.arrivals),
            clickhouse=len(self._instruments.poller.sightings.seen),
        )


async def run(hub: Places, terms: Terms, console: Console, started: float) -> tuple[list[Section], bool]:
    """Play, compare, report; the report, and whether the books balance. ``started``: seconds that the start took."""
    name = secrets.token_hex(4)
    prefix = f"demo-{name}" if terms.prefix is None else terms.prefix
    scripts = plan(terms.seed, terms.devices, terms.seconds, prefix=prefix)
    weather = dataset.load()
    with ExitStack() as ends:
        instruments = Instruments(hub, ends)
        async with Fleet(scripts, Endpoint(HOST, hub.mqtt_port), name, weather) as fleet:
            begun = time.monotonic()
            with instruments.poller.run(), display(console) as screen:
                stage = Stage(terms, fleet.truth, instruments, screen)
                with watch.follow(instruments.kafka):
                    await stage.during("the fleet plays", fleet.play())
                played = time.monotonic()
                verdict = await stage.during(
                    "the hub catches up", instruments.audit.settle(fleet.truth, terms.patience)
                )
            times = report.Times(started, played - begun, time.monotonic() - played)
            latency = instruments.poller.sightings.latency(fleet.truth)
            parts = report.sections(fleet.truth, verdict, latency, instruments.answers(), times)
    return parts, verdict.balanced
