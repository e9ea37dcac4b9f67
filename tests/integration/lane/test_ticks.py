"""Time passes in every partition, whoever serves it and whatever becomes of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.integration.lane.ledger import TICK, inbox
from tests.integration.lane.topics import PARTITIONS
from tests.integration.lane.truth import Found, assert_exact
from tests.support.polling import eventually
from tests.support.records import read_all

if TYPE_CHECKING:
    from tests.integration.lane.process import Worker
    from tests.integration.lane.scene import Scene


def test_deadlines_pass_by_ticks_through_a_kill_9_of_whoever_writes_them(scene: Scene) -> None:
    def ticking(name: str) -> Worker:
        return scene.worker(name, tick=True, lane_tick_s=0.1, lane_instance_id=name)

    load = scene.load(accounts=400)
    load.preload()
    workers = [ticking(name) for name in "ab"]
    for worker in workers:
        worker.wait_ready()
    for number in range(400):
        load.put(b"account-%05d" % number, "arm", at=int(time.time() * 1000) + 10 * number)
    load.flush()
    workers[0].kill()
    workers[0] = ticking("a")

    def all_expired() -> bool:
        for worker in workers:
            worker.assert_running()
        rows = Found(scene.bootstrap, scene.service).rows.values()
        return len(rows) == 400 and all(row.expired for row in rows)

    eventually(all_expired, 60, describe="every deadline to have passed")
    workers[0].wait_ready()
    assert [worker.stop() for worker in workers] == [0, 0]
    silent = scene.worker("c")
    scene.settle(silent)
    assert silent.stop() == 0
    assert_exact(scene.bootstrap, scene.service)
    ticked = {
        record.partition for record in read_all(scene.bootstrap, inbox(scene.service)) if TICK in (record.value or b"")
    }
    assert ticked == set(range(PARTITIONS))
