"""The presence service's step in a lane, wired as the service wires it but for ticks, under names of its own."""

from __future__ import annotations

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics.codec import Decoder
from libs.topics.names import dead_letters
from services.presence.forget import deadline
from services.presence.model import Device, Sources
from services.presence.session import terms
from services.presence.step import Event, fold_sources, step
from services.presence.views import tally

from .fold import Settings

TABLE = "counts"


def start(settings: Settings) -> int:
    app = LaneApp(settings.app, kafka=settings.kafka, lane=settings.lane)
    app.lane(
        TABLE,
        inbox=settings.inbox,
        decode=Decoder[Event](Event),
        row=Device,
        step=step,
        dead_letters=dead_letters(settings.app),
        shared=Sources(),
        fold_shared=fold_sources,
        terms=terms,
        deadline=deadline,
        tally=tally,
    )
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("bench-presence-lane", Settings, start)
