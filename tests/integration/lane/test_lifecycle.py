"""Start and stop: topics that do not fit are refused, readiness is true, a signal ends cleanly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.topics.names import changelog, dead_letters
from tests.integration.lane.ledger import TABLE, inbox
from tests.integration.lane.topics import PARTITIONS, create, topics_of
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.lane.scene import Scene


@pytest.mark.parametrize(
    ("spoilt", "config", "sentence"),
    [
        ("inbox", (PARTITIONS - 1, {}), "has 3 partitions, the installation has 4"),
        ("changelog", (PARTITIONS, {"cleanup.policy": "delete"}), "has cleanup.policy=delete, it must be compact"),
        ("dead letters", None, "does not exist"),
    ],
)
def test_topics_that_do_not_fit_are_refused_by_name(
    new_scene: Callable[[], Scene], spoilt: str, config: tuple[int, dict[str, str]] | None, sentence: str
) -> None:
    scene = new_scene()
    topics = topics_of(scene.service)
    name = {
        "inbox": inbox(scene.service),
        "changelog": changelog(scene.service, TABLE),
        "dead letters": dead_letters(scene.service),
    }[spoilt]
    if config is None:
        del topics[name]
    else:
        topics[name] = config
    create(scene.bootstrap, topics)
    worker = scene.worker()
    assert worker.exit_status() == 78
    assert f"{name} {sentence}" in worker.text()


def test_a_worker_says_when_it_is_ready_counts_what_it_does_and_ends_cleanly(scene: Scene) -> None:
    load = scene.load()
    load.preload()
    load.broadcast("everything", value=1)
    load.flush()
    worker = scene.worker()
    eventually(lambda: worker.get("/health/live")[0] == 200, describe="the worker to live")
    assert worker.get("/health/ready")[0] in (200, 503)
    worker.wait_ready()
    scene.settle(worker)

    def counted() -> bool:
        _, metrics = worker.get("/metrics")
        labels = f'{{service="{scene.service}",table="{TABLE}"}}'
        found = {line.partition("{")[0]: float(line.split()[-1]) for line in metrics.splitlines() if labels in line}
        assert found["fleetlog_lane_events_total"] == 1000 + PARTITIONS
        assert found["fleetlog_lane_outputs_total"] == found["fleetlog_lane_swept_total"] + 1000 + PARTITIONS
        assert found["fleetlog_lane_swept_total"] == 1000
        assert found["fleetlog_lane_broadcasts_total"] == found["fleetlog_lane_partitions"] == PARTITIONS
        assert found["fleetlog_lane_lag"] == found["fleetlog_lane_backlog"] == 0
        return True

    eventually(counted, timeout=10, describe="metrics of what was done")
    load.start()
    eventually(lambda: not worker.get("/health/live")[1] or scene.count(inbox(scene.service)) > 3000)
    assert worker.stop() == 0
    assert "fail-stop" not in worker.text()
    assert "Traceback" not in worker.text()
    load.finish()
    again = scene.worker()
    scene.settle(again)
    assert again.stop() == 0
    _, found = assert_exact(scene.bootstrap, scene.service)
    assert len(set(found.sent)) == len(found.sent), "after a clean stop nothing is said twice"
