"""The fold in a lane."""

from __future__ import annotations

from libs.runtime import main
from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics.names import dead_letters

from .fold import Count, Settings, decode, output_topic, step

TABLE = "counts"


def start(settings: Settings) -> int:
    app = LaneApp(settings.app, kafka=settings.kafka, lane=settings.lane)
    app.lane(
        TABLE,
        inbox=settings.inbox,
        decode=decode,
        row=Count,
        step=step,
        dead_letters=dead_letters(settings.app),
        shared=output_topic(settings.app),
    )
    return worker.run(app, settings)


if __name__ == "__main__":
    main.run("bench-lane", Settings, start)
