"""The shadow service's step in a lane, wired as the service wires it but for ticks and reads, under own names."""

from __future__ import annotations

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics.codec import Decoder
from libs.topics.names import dead_letters
from services.shadow.app import MAX_ROW
from services.shadow.lives import deadline
from services.shadow.model import Entry, Head, Product
from services.shadow.reference import fold_reference, sum_up
from services.shadow.step import Message, step
from services.shadow.views import listing, terms

from .fold import Settings

TABLE = "documents"


def start(settings: Settings) -> int:
    app = LaneApp(settings.app, kafka=settings.kafka, lane=settings.lane)
    app.lane(
        TABLE,
        inbox=settings.inbox,
        decode=Decoder[Message](Message),
        row=Entry,
        head=Head,
        step=step,
        dead_letters=dead_letters(settings.app),
        shared=-1,
        cell=Product,
        fold_shared=fold_reference,
        swept=sum_up,
        terms=terms,
        deadline=deadline,
        listing=listing,
        max_row=MAX_ROW,
    )
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("bench-shadow-lane", Settings, start)
