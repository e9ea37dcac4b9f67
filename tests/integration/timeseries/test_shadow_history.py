"""Shadows' history on real Kafka and ClickHouse: every event once through kills, and every version from it again."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.shadow import document
from libs.topics.codec import encode
from libs.topics.messages.shadow_changes import ShadowChanged
from tests.support.killed_sink import killed_twice
from tests.support.names import unique
from tests.support.shadow_log import ShadowLog
from tests.support.sink import NOW, Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack
    from libs.shadow.document import Document

PAGE = Path(__file__).resolve().parents[3] / "docs" / "analysts.md"
*_, REPLAY = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
DEVICES, CHANGES = 30, 100
REPEATED = 40
"""Events that the shadow service says again after a crash, under other offsets."""
TOPIC = "shadow.events"

_changed = msgspec.json.Decoder(ShadowChanged)


def grown(log: ShadowLog, chance: random.Random, changes: int) -> ShadowLog:
    """Change a shadow so many times, a few milliseconds apart."""
    at = log.document.created_at
    for _ in range(changes):
        at += chance.randrange(1, 20)
        patch = {
            chance.choice("abc"): chance.choice([None, 1, 2, {"x": chance.randrange(3)}, [1, {"y": None}]])
            for _ in range(chance.randrange(3))
        }
        match chance.randrange(10):
            case 0:
                log.clear(at, "desired")
            case 1 | 2 | 3 | 4:
                log.desire(at, patch)
            case _:
                log.report(at, patch)
    return log


class Past:
    """The logs of one product: shadows of every kind, and two devices whose shadow had another one before it."""

    def __init__(self, product: str) -> None:
        self.chance = random.Random(7)
        chance = self.chance
        names = [(f"d{n}", None if n % 3 else "night") for n in range(DEVICES)]
        self.logs = [grown(ShadowLog(product, d, NOW, shadow), chance, CHANGES) for d, shadow in names]
        self.deleted = grown(ShadowLog(product, "again", NOW), chance, 40)
        end = self.deleted.delete(NOW + 5_000)
        self.again = grown(ShadowLog(product, "again", NOW + 6_000, version=end.version), chance, 40)
        self.first_life = grown(ShadowLog(product, "reborn", NOW), chance, 50)
        self.second_life = grown(ShadowLog(product, "reborn", NOW + 6_000), chance, 40)

    @property
    def all(self) -> list[ShadowLog]:
        return [*self.logs, self.deleted, self.again, self.first_life, self.second_life]

    def events(self) -> list[ShadowChanged]:
        """Those of one device in their order; devices mixed."""
        told = [event for log in self.all for event in log.events]
        return sorted(told, key=lambda event: event.created_at + event.version)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        said = self.events()
        for event in [*said, *said[-REPEATED:]]:
            yield f"{event.product_id}/{event.device_id}".encode(), encode(event)


@pytest.fixture(scope="module")
def product() -> str:
    return unique("p")


@pytest.fixture(scope="module")
def past(product: str) -> Past:
    return Past(product)


@pytest.fixture(scope="module")
def sink(brokers: Stack, past: Past, product: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    """It has stored everything. Twice it was killed where each inserter waited with a block that was half stored."""
    records, ours = list(past.records()), f"product_id = '{product}'"
    with killed_twice(brokers, tmp_path_factory.mktemp("history"), TOPIC, records, block_rows=400) as sink:
        sink.await_count("shadow_events", ours, len(records))
        assert sink.end() == 0
        yield sink


def test_every_event_is_stored_once_through_kills(sink: Sink, past: Past, product: str) -> None:
    ours, events = f"product_id = '{product}'", past.events()
    [(rows, places, ids)] = sink.rows(
        f"SELECT count(), uniqExact(partition, offset), uniqExact(id) FROM shadow_events WHERE {ours}"
    )
    assert (rows, places, ids) == (len(events) + REPEATED, len(events) + REPEATED, len(events))
    assert "replays=['shadow.events-" in sink.said()
    converged = [(event.id, field.path) for event in events for field in event.converged]
    assert sorted(sink.rows(f"SELECT id, path FROM shadow_convergence FINAL WHERE {ours}")) == sorted(converged)


def test_a_shadow_is_as_far_as_its_newest_change(sink: Sink, past: Past, product: str) -> None:
    told = sink.rows(
        "SELECT device_id, shadow, version, toUnixTimestamp64Milli(pending_since), delta FROM shadow_current FINAL "
        f"WHERE product_id = '{product}' AND NOT deleted"
    )
    live = [log for log in past.all if log not in (past.deleted, past.first_life)]
    assert {row[:2]: (row[2], row[3], json.loads(row[4] or "{}")) for row in told} == {
        (log.device_id, log.shadow or ""): (
            log.document.version,
            document.pending_since(log.document),
            log.document.delta,
        )
        for log in live
    }


def replayed(sink: Sink, log: ShadowLog, version: int) -> list[bytes]:
    of = f"product = '{log.product_id}', device = '{log.device_id}', shadow = '{log.shadow or ''}'"
    return [text.encode() for (text,) in sink.rows(f"SELECT event FROM shadow_replay({of}, version = {version})")]


def folded(events: list[bytes]) -> Document | None:
    found: Document | None = None
    for text in events:
        found = document.fold(found, _changed.decode(text))
    return found


def test_every_version_can_be_made_again_from_at_most_so_many_events(sink: Sink, past: Past) -> None:
    for log in (*past.logs[:2], past.deleted, past.again, past.second_life):
        for version in {1, 2, 31, 32, 33, log.document.version} & log.versions.keys():
            events = replayed(sink, log, version)
            gone = log is past.deleted and version == log.document.version
            assert folded(events) == (None if gone else log.versions[version]), (log.device_id, version)
            assert len(events) <= document.CHECKPOINT
    assert replayed(sink, past.first_life, 45) == [encode(past.first_life.events[44 - n]) for n in range(13, -1, -1)]
    assert replayed(sink, past.logs[0], CHANGES + 1) == []


def test_the_version_at_a_time_is_the_newest_that_was_not_later(sink: Sink, past: Past) -> None:
    for log in past.logs[:3]:
        moment = log.events[50].at
        wanted = max(event.version for event in log.events if event.at <= moment)
        [(found,)] = sink.rows(
            f"SELECT argMax(version, (created_at, version)) FROM shadow_events WHERE product_id = '{log.product_id}' "
            f"AND device_id = '{log.device_id}' AND shadow = '{log.shadow or ''}' AND type = 'shadow_changed' "
            f"AND at <= fromUnixTimestamp64Milli({moment})"
        )
        assert found == wanted


def test_the_program_of_the_documentation_makes_a_version_without_our_code(sink: Sink, past: Past) -> None:
    for log, version in ((past.logs[1], 70), (past.logs[0], CHANGES), (past.deleted, past.deleted.document.version)):
        lines = b"\n".join(replayed(sink, log, version))
        done = subprocess.run([sys.executable, "-c", REPLAY], input=lines, capture_output=True, timeout=60, check=True)
        known = log.versions[version]
        wanted = {"desired": known.desired, "reported": known.reported}
        assert json.loads(done.stdout) == (None if log is past.deleted else wanted)
