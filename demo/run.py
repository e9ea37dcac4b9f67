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
from fleet.addresses import access_to
from fleet.admission import admit
from fleet.audit import Audit
from fleet.fleet import Fleet
from fleet.link import Endpoint
from fleet.plan import identities, plan
from fleet.readers.clickhouse import ClickHouseReader
from fleet.readers.kafka import KafkaReader
from fleet.registration import NotRegistered
from libs.runtime.clickhouse import connect
from libs.runtime.settings import ClickHouseSettings, KafkaSettings

from . import questions, report, watch
from .access import Gate
from .lamp import Room
from .progress import Snapshot, display, waiting
from .thermometer import Bench

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
    """Register, play, compare, try who gets in, switch a lamp, command a thermometer, report.

    Returns the report, and whether all is as it should be.
    ``started``: seconds that the start took. Raises `NotRegistered`.
    """
    name = secrets.token_hex(4)
    prefix = f"demo-{name}" if terms.prefix is None else terms.prefix
    scripts = plan(terms.seed, terms.devices, terms.seconds, prefix=prefix)
    weather, endpoint = dataset.load(), Endpoint(HOST, hub.mqtt_port)
    hub_api = access_to(hub)
    if hub_api is None:
        raise NotRegistered(f"the stack in {hub.state} has no API")
    begun = time.monotonic()
    with ExitStack() as ends:
        instruments = Instruments(hub, ends)
        with waiting(console, f"registering {terms.devices:,} devices through the API"):
            known = await admit(hub_api, endpoint, identities(scripts), name)
        registered = time.monotonic()
        async with Fleet(scripts, endpoint, name, weather, secrets=known) as fleet:
            with instruments.poller.run(), display(console) as screen:
                stage = Stage(terms, fleet.truth, instruments, screen)
                with watch.follow(instruments.kafka):
                    await stage.during("the fleet plays", fleet.play())
                played = time.monotonic()
                verdict = await stage.during(
                    "the hub catches up", instruments.audit.settle(fleet.truth, terms.patience)
                )
            settled = time.monotonic()
            latency = instruments.poller.sightings.latency(fleet.truth)
            answers = instruments.answers()
            with waiting(console, "trying who gets in, switching a lamp, and commanding a thermometer"):
                checks, shadow, commands = await asyncio.gather(
                    Gate(hub_api, endpoint, instruments.kafka, name).tried(prefix),
                    Room(hub_api, endpoint, hub.state).tried(prefix),
                    Bench(hub_api, endpoint).tried(prefix),
                )
            times = report.Times(started, registered - begun, played - registered, settled - played)
            tried = {"checks": checks, "shadow": shadow, "commands": commands}
            parts = report.sections(fleet.truth, verdict, latency, answers, **tried, times=times)
    return parts, verdict.balanced and all(check.held for check in (*checks, *shadow, *commands))
