"""Presence keeps its rows where its settings say, in memory or on disk, and is the same service with either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.integration.lane.owners import overlaps, shared
from tests.integration.lane.process import Worker
from tests.integration.presence.inbox import Inbox, await_folded, await_work, current, unlike_the_replay
from tests.integration.presence.test_presence import lived
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devstack.stack import Stack

TABLES = ["channels"]


@pytest.fixture
def start(brokers: Stack, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a presence worker of the name, under the settings."""
    workers: list[Worker] = []

    def start(name: str, **settings: Any) -> Worker:
        workers.append(Worker("services.presence", tmp_path, name=name, kafka_bootstrap=brokers.kafka, **settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


class Recovered(msgspec.Struct):
    event: str = ""
    records: int = 0


def recovered(worker: Worker) -> int:
    """How many rows a worker read from the changelog when it started."""
    lines = [line for line in worker.text().splitlines() if '"rows are recovered"' in line]
    return msgspec.json.decode(lines[0], type=Recovered).records


@pytest.mark.parametrize("store", ["memory://", "rocksdb://"])
def test_presence_is_exact_with_its_rows_in_either_store(
    brokers: Stack, start: Callable[..., Worker], tmp_path: Path, store: str
) -> None:
    def settle(*workers: Worker) -> None:
        eventually(lambda: shared(*workers, tables=TABLES, partitions=brokers.partitions), 60, describe="owners")

    world, events = lived(unique("presence"), seed=11, steps=5000)
    with Inbox(brokers.kafka, brokers.partitions).load(events, per_second=800) as load:
        killed = start("a", lane_store=store, lane_instance_id="a")
        settle(killed)
        await_work(brokers.kafka, load)
        killed.kill()
        first = start("a", lane_store=store, lane_instance_id="a")
        settle(first)
        second = start("b", lane_store=store)
        settle(first, second)
        assert second.stop() == 0
        settle(first)
    await_folded(brokers.kafka, brokers.partitions, 60)
    assert first.stop() == 0
    assert overlaps([killed, first, second]) == []
    assert current(brokers.kafka, world.product) == world.truth()
    assert unlike_the_replay(brokers.kafka, brokers.partitions, world.product) == []

    again = start("a", lane_store=store, lane_instance_id="a")
    settle(again)
    on_disk = store == "rocksdb://"
    assert (recovered(again) == 0) == on_disk, "rows on disk need no recovery"
    assert any(tmp_path.glob("a/**/CURRENT")) if on_disk else not (tmp_path / "a").exists()
    assert again.stop() == 0
