"""The commands service's step in a lane, wired as the service wires it but for ticks and reads, under own names."""

from __future__ import annotations

from functools import partial

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics.codec import Decoder
from libs.topics.names import dead_letters
from services.commands.app import MAX_ROW, TABLE
from services.commands.limits import DEFAULTS
from services.commands.lives import deadline
from services.commands.model import Entry, Product
from services.commands.reference import fold_reference, sum_up
from services.commands.step import Message, step
from services.commands.views import listing, terms

from .fold import Settings


def start(settings: Settings) -> int:
    app = LaneApp(settings.app, kafka=settings.kafka, lane=settings.lane)
    app.lane(
        TABLE,
        inbox=settings.inbox,
        decode=Decoder[Message](Message),
        row=Entry,
        step=step,
        dead_letters=dead_letters(settings.app),
        shared=-1,
        cell=Product,
        fold_shared=partial(fold_reference, rules=DEFAULTS),
        swept=partial(sum_up, rules=DEFAULTS),
        terms=terms,
        deadline=partial(deadline, rules=DEFAULTS),
        listing=listing,
        max_row=MAX_ROW,
    )
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("bench-ledger-lane", Settings, start)
