"""More workers, fewer workers, each restarted in turn, under load: a partition has one owner and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.lane.ledger import TABLE
from tests.integration.lane.owners import changes, overlaps, served, shared
from tests.integration.lane.topics import PARTITIONS
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.process import Worker
    from tests.integration.lane.scene import Scene

SESSION = 40
"""Seconds that a worker may take for its restart, on a busy machine as well."""


def await_shared(*workers: Worker) -> None:
    eventually(
        lambda: shared(*workers, tables=[TABLE], partitions=PARTITIONS),
        timeout=60,
        describe=f"every partition with one of {len(workers)} workers",
    )


def test_one_two_three_and_one_worker_again_under_load(scene: Scene) -> None:
    load = scene.load(rate=1200)
    load.preload()
    workers = [scene.worker("a")]
    load.start()
    await_shared(*workers)
    for name in ("b", "c"):
        workers.append(scene.worker(name))
        await_shared(*workers)
    first, *others = workers
    assert [worker.stop() for worker in others] == [0, 0]
    await_shared(first)
    load.finish()
    scene.settle(first)
    assert first.stop() == 0
    assert overlaps(workers) == []
    assert_exact(scene.bootstrap, scene.service)


def test_named_workers_restarted_in_turn_keep_their_partitions(scene: Scene) -> None:
    load = scene.load(rate=1200)
    load.preload()
    named = {name: {"lane_instance_id": name, "lane_session_timeout_s": SESSION} for name in ("a", "b")}
    workers = {name: scene.worker(name, **settings) for name, settings in named.items()}
    all_of_them = list(workers.values())
    await_shared(*workers.values())
    load.start()
    for name, other in (("a", "b"), ("b", "a")):
        mine, undisturbed = served(workers[name]), changes(workers[other])
        assert workers[name].stop() == 0
        workers[name] = scene.worker(name, **named[name])
        all_of_them.append(workers[name])
        await_shared(*workers.values())
        assert served(workers[name]) == mine
        assert changes(workers[other]) == undisturbed, "a restart moves no partition"
    load.finish()
    scene.settle(*workers.values())
    assert [worker.stop() for worker in workers.values()] == [0, 0]
    assert overlaps(all_of_them) == []
    assert_exact(scene.bootstrap, scene.service)
