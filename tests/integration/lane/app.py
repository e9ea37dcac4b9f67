"""``python -m tests.integration.lane.app``: the ledger as a process."""

from __future__ import annotations

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics.names import dead_letters
from tests.integration.lane.ledger import (
    TABLE,
    Account,
    Ledger,
    Rate,
    Settings,
    World,
    balance,
    deadline,
    decode,
    inbox,
    listed,
    tally,
    terms,
)


def declare(app: LaneApp, settings: Settings, name: str, table: str = TABLE) -> None:
    """Add a ledger whose topics begin with ``name``; their changelog must, too."""
    ledger = Ledger(name)
    lane = app.lane(
        table,
        inbox=inbox(name),
        decode=decode,
        row=Account,
        step=ledger.step,
        dead_letters=dead_letters(name),
        shared=World(),
        fold_shared=ledger.fold,
        cell=Rate,
        swept=ledger.swept,
        terms=terms,
        deadline=deadline,
        max_row=settings.max_row,
        breaker=(settings.breaker, 1000),
        tick=settings.tick,
        views={"balance": balance},
        tally=tally,
        listing=listed,
    )
    lane.sweep_slice = settings.sweep_slice


def start(settings: Settings) -> int:
    app = LaneApp(settings.service, kafka=settings.kafka, lane=settings.lane, reads=settings.reads)
    declare(app, settings, settings.service)
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("ledger", Settings, start)
