"""Two lanes in one app: each has its own rows, outputs and figures, and partitions move for both at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.lane.ledger import TABLE
from tests.integration.lane.owners import overlaps, served, shared
from tests.integration.lane.pair import SECOND
from tests.integration.lane.topics import PARTITIONS
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.scene import Scene

TABLES = (TABLE, SECOND)


def test_two_lanes_stay_exact_through_kill_9_a_join_and_a_leave(pair: Scene) -> None:
    loads = [pair.load(rate=700, name=name) for name in pair.names]
    for load in loads:
        load.preload()
    killed = pair.worker("a", lane_instance_id="a")
    for load in loads:
        load.start()
    killed.wait_ready()
    killed.kill()
    first = pair.worker("a", lane_instance_id="a")
    eventually(lambda: shared(first, tables=TABLES, partitions=PARTITIONS), describe="both tables recovered")
    second = pair.worker("b")
    eventually(lambda: shared(first, second, tables=TABLES, partitions=PARTITIONS), describe="both tables shared")
    assert served(first)[TABLE] == served(first)[SECOND], "a worker serves the same partitions of both tables"
    half = dict.fromkeys(TABLES, PARTITIONS / 2)
    eventually(lambda: first.by_table("partitions") == second.by_table("partitions") == half)
    assert second.stop() == 0
    eventually(lambda: shared(first, tables=TABLES, partitions=PARTITIONS), describe="both tables taken over")
    for load in loads:
        load.finish()
    pair.settle(first)
    eventually(lambda: first.by_table("lag") == first.by_table("backlog") == dict.fromkeys(TABLES, 0.0))
    assert first.stop() == 0
    assert overlaps([killed, first, second]) == []
    for name in pair.names:
        truth, _ = assert_exact(pair.bootstrap, name)
        assert len(truth.rows) >= 1000
