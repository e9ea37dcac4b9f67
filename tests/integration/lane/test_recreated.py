"""An inbox that was deleted and created anew is not skipped in silence: the lane refuses to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from libs.runtime.lane.fail import EXIT_CONFIG
from libs.topics.names import changelog
from tests.integration.lane.ledger import TABLE, inbox
from tests.integration.lane.topics import create, topics_of
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.scene import Scene


def recreate(scene: Scene, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": scene.bootstrap})
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics, describe=f"{topic} to be gone")
    create(scene.bootstrap, {topic: topics_of(scene.service)[topic]})


def test_a_lane_refuses_an_inbox_that_was_created_anew(scene: Scene) -> None:
    load = scene.load(accounts=200)
    load.preload()
    worker = scene.worker()
    scene.settle(worker)
    assert worker.stop() == 0

    recreate(scene, inbox(scene.service))
    load.preload()
    refused = scene.worker()
    assert refused.exit_status() == EXIT_CONFIG
    assert f"{inbox(scene.service)} was created anew" in refused.text()
    assert f"delete the changelog {changelog(scene.service, TABLE)}" in refused.text()

    recreate(scene, changelog(scene.service, TABLE))
    recreate(scene, f"{scene.service}.events")
    worker = scene.worker()
    scene.settle(worker)
    assert worker.stop() == 0
    truth, _ = assert_exact(scene.bootstrap, scene.service)
    assert len(truth.rows) == 200, "as the advice promised"
