"""Killed in the middle of everything, a lane ends with the rows and outputs of its inbox, byte for byte."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from libs.topics.names import changelog
from tests.integration.lane.ledger import TABLE, Rate, outputs
from tests.integration.lane.topics import PARTITIONS, configure
from tests.integration.lane.truth import Found, assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.scene import Scene

NEVER = threading.Event()
"""Waiting for it lets time pass: the load goes on meanwhile."""


@pytest.mark.parametrize(("store", "kills"), [("memory://", 3), ("rocksdb://", 2)])
def test_kill_9_under_load_changes_nothing(scene: Scene, store: str, kills: int) -> None:
    load = scene.load()
    load.preload()
    worker = scene.worker(lane_store=store, lane_instance_id="a")
    load.start()
    for number in range(kills):
        if number % 2:
            worker.wait_ready()
        NEVER.wait(1.5)
        worker.kill()
        worker = scene.worker(lane_store=store, lane_instance_id="a")
    load.finish()
    scene.settle(worker)
    eventually(lambda: not Found(scene.bootstrap, scene.service).tombstones, describe="tombstones to be purged")
    assert worker.stop() == 0
    truth, _ = assert_exact(scene.bootstrap, scene.service)
    assert sum(row.expired for row in truth.rows.values()) > 10
    assert not any(row.deadlines for row in truth.rows.values())


def test_kill_9_in_the_middle_of_sweeps_changes_nothing(scene: Scene) -> None:
    load = scene.load(accounts=12_000)
    load.preload()
    worker = scene.worker(lane_instance_id="a", sweep_slice=50)
    scene.settle(worker)
    for share in (0.2, 0.7):
        wanted = scene.count(outputs(scene.service)) + share * 12_000
        load.broadcast("everything", value=1)
        for value in (2, 17):
            load.broadcast("rate", value=value)
        load.broadcast("tagged", value=3)
        load.broadcast("unrate", value=3)
        for number in range(0, 12_000, 100):
            load.put(b"account-%05d" % number, "deposit", value=1)
        load.flush()
        while scene.count(outputs(scene.service)) < wanted:
            worker.assert_running()
        worker.kill()
        worker = scene.worker(lane_instance_id="a", sweep_slice=50)
    scene.settle(worker)
    assert worker.stop() == 0
    truth, _ = assert_exact(scene.bootstrap, scene.service)
    assert all(row.visits >= 2 for row in truth.rows.values())
    assert truth.cells == {number: {"7": Rate(17, 2)} for number in range(PARTITIONS)}


@pytest.mark.parametrize("kind", ["changelog", "outputs"])
def test_a_delivery_that_fails_stops_the_process_and_the_commits(scene: Scene, kind: str) -> None:
    topic = changelog(scene.service, TABLE) if kind == "changelog" else outputs(scene.service)
    load = scene.load()
    load.preload()
    worker = scene.worker(lane_instance_id="a")
    scene.settle(worker)
    configure(scene.bootstrap, topic, "max.message.bytes", "80")
    load.start()
    assert worker.exit_status() == 70
    assert f"delivery to {topic}" in worker.text()
    before = scene.committed()
    assert scene.worker(lane_instance_id="a").exit_status() == 70
    assert scene.committed() == before
    configure(scene.bootstrap, topic, "max.message.bytes", "1048588")
    worker = scene.worker(lane_instance_id="a")
    load.finish()
    scene.settle(worker)
    assert worker.stop() == 0
    assert_exact(scene.bootstrap, scene.service)
