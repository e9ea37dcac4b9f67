"""Compares a fleet's truth with a running hub, again and again until the hub has caught up."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from . import books, compare
from .books import Entry
from .compare import Finding
from .evidence import concerns

if TYPE_CHECKING:
    from .evidence import Arrival
    from .readers.clickhouse import ClickHouseReader
    from .readers.kafka import KafkaReader
    from .truth import Truth

POLL = 0.25
"""Seconds between two comparisons."""
QUIET = 1.0
"""Seconds without a new record in Kafka after which a balance is believed: a double would come late."""


class Verdict(msgspec.Struct, frozen=True):
    """The books of a run, and what does not balance in them."""

    entries: list[Entry]
    findings: list[Finding]
    hub_online: int | None
    """Devices of the fleet that the hub shows as online; None where nobody looked."""
    causes: dict[str, int] | None
    """How often each cause stands in the transition log."""
    letters: int | None
    """Dead letters caused by the fleet."""

    @property
    def balanced(self) -> bool:
        return not self.findings


class Audit:
    """Create it before the fleet starts: Kafka is read from that moment on. A reader that is None is left out."""

    def __init__(self, kafka: KafkaReader | None, clickhouse: ClickHouseReader | None) -> None:
        self._kafka = kafka
        self._clickhouse = clickhouse
        self._given_up = threading.Event()

    async def settle(self, truth: Truth, patience: float) -> Verdict:
        """Compare until the books balance and nothing new comes, for at most ``patience`` seconds; the last verdict.

        The fleet has to be at rest. When cancelled, the readers are free again once this has returned.
        """
        work = asyncio.get_running_loop().run_in_executor(None, self._settle, truth, patience)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._given_up.set()
            await asyncio.wait({work})
            raise

    def _settle(self, truth: Truth, patience: float) -> Verdict:
        deadline = time.monotonic() + patience
        quiet_since = time.monotonic()
        while True:
            if self._kafka is not None and self._kafka.catch_up(deadline):
                quiet_since = time.monotonic()
            verdict = self._examine(truth)
            now = time.monotonic()
            if now > deadline or (verdict.balanced and now - quiet_since >= QUIET) or self._given_up.wait(POLL):
                return verdict

    def _examine(self, truth: Truth) -> Verdict:
        rows = None if self._clickhouse is None else self._clickhouse.arrivals(truth.products, truth.started_at)
        findings: list[Finding] = []
        if self._clickhouse is not None and rows is not None:
            log = self._clickhouse.transitions(truth.products, truth.started_at)
            findings += compare.messages(truth, rows, "ClickHouse")
            findings += compare.transitions(truth, log, "ClickHouse")
        if self._kafka is None:
            return Verdict(books.entries(truth, None, rows), findings, None, None, None)
        return self._examine_kafka(truth, self._kafka, rows, findings)

    @staticmethod
    def _examine_kafka(
        truth: Truth, kafka: KafkaReader, rows: list[Arrival] | None, findings: list[Finding]
    ) -> Verdict:
        evidence = kafka.evidence
        letters = [letter for letter in evidence.letters if concerns(letter, truth.products)]
        findings = [
            *compare.messages(truth, evidence.arrivals, "Kafka"),
            *findings,
            *compare.presence(truth, evidence.documents),
            *compare.transitions(truth, evidence.transitions, "Kafka"),
            *compare.dead_letters(letters),
        ]
        return Verdict(
            entries=books.entries(truth, evidence.arrivals, rows),
            findings=findings,
            hub_online=books.online(truth, evidence.documents),
            causes=books.causes(truth, evidence.transitions),
            letters=len(letters),
        )
