"""Workers come and go: partitions move with their rows, and nothing is lost or said otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.runtime.lane.fail import EXIT_FATAL
from tests.integration.lane.owners import overlaps
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.process import Worker
    from tests.integration.lane.scene import Scene


def serves(worker: Worker, partitions: int) -> bool:
    _, metrics = worker.get("/metrics")
    return any(
        line.startswith("fleetlog_lane_partitions{") and float(line.split()[-1]) == partitions
        for line in metrics.splitlines()
    )


@pytest.mark.parametrize(("standbys", "leaving"), [(0, "SIGTERM"), (1, "SIGKILL")])
def test_a_second_worker_joins_and_leaves_under_load(scene: Scene, standbys: int, leaving: str) -> None:
    load = scene.load(rate=1500)
    load.preload()
    first = scene.worker("a", lane_standbys=standbys)
    load.start()
    first.wait_ready()
    second = scene.worker("b", lane_standbys=standbys)
    eventually(lambda: serves(first, 2) and serves(second, 2), describe="two partitions each")
    if leaving == "SIGTERM":
        assert second.stop() == 0
    else:
        second.kill()
    eventually(lambda: serves(first, 4), describe="all partitions with the worker that is left")
    load.finish()
    scene.settle(first)
    assert first.stop() == 0
    assert_exact(scene.bootstrap, scene.service)


def test_a_worker_that_stood_still_past_its_session_ends_when_it_wakes(scene: Scene) -> None:
    load = scene.load(rate=1500)
    load.preload()
    first = scene.worker("a")
    load.start()
    second = scene.worker("b")
    for worker in (first, second):
        worker.wait_ready()
    eventually(lambda: serves(first, 2) and serves(second, 2), describe="two partitions each")
    second.freeze()
    eventually(lambda: serves(first, 4), timeout=60, describe="all partitions with the successor")
    second.thaw()
    assert second.exit_status() == EXIT_FATAL
    assert "fail-stop" in second.text()
    load.finish()
    scene.settle(first)
    assert first.stop() == 0
    assert overlaps([first, second]) == []
    assert_exact(scene.bootstrap, scene.service)
