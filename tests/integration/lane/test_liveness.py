"""A consumer whose fetches hang is noticed from beside it, and a restart goes on where it stood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.lane.ledger import TABLE, inbox
from tests.integration.lane.pair import SECOND
from tests.integration.lane.truth import assert_exact
from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.integration.lane.scene import Scene


def test_fetches_that_hang_end_liveness_and_show_as_the_tables_lag(pair: Scene) -> None:
    freezer = pair.directory / "frozen"
    loads = {table: pair.load(rate=200, name=name) for table, name in zip((TABLE, SECOND), pair.names, strict=True)}
    for load in loads.values():
        load.preload()
    worker = pair.worker(freezer=freezer, patience_s=3)
    pair.settle(worker)
    assert worker.get("/health/live")[0] == 200

    freezer.touch()
    loads[SECOND].start()

    def stuck() -> str:
        status, body = worker.get("/health/live")
        return body if status == 503 else ""

    said = eventually(stuck, describe="liveness to end")
    assert f"no progress for 3 s in {inbox(pair.names[1])}-" in said
    assert f"{inbox(pair.service)}-" not in said, "a partition that only waits does not stand still"
    eventually(lambda: worker.by_table("lag")[SECOND] > 0 == worker.by_table("lag")[TABLE])
    worker.kill()

    loads[SECOND].finish()
    freezer.unlink()
    again = pair.worker(freezer=freezer)
    pair.settle(again)
    assert again.stop() == 0
    for name in pair.names:
        assert_exact(pair.bootstrap, name)
