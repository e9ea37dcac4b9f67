"""The wiring of the presence service: one lane over ``presence.inbox``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics import names
from libs.topics.codec import Decoder

from . import metrics
from .forget import deadline
from .model import Device, Sources
from .session import terms
from .step import Event, fold_sources, step
from .views import show, tally

if TYPE_CHECKING:
    from .settings import PresenceSettings

SERVICE = "presence"
TABLE = "channels"


def build(settings: PresenceSettings) -> LaneApp:
    app = LaneApp(SERVICE, kafka=settings.kafka, lane=settings.lane, reads=settings.reads)
    app.lane(
        TABLE,
        inbox=names.PRESENCE_INBOX,
        decode=Decoder[Event](Event),
        row=Device,
        step=partial(step, tell=metrics.count),
        dead_letters=names.dead_letters(SERVICE),
        shared=Sources(),
        fold_shared=fold_sources,
        terms=terms,
        deadline=deadline,
        tally=tally,
        tick=True,
        views={"state": show},
    )
    app.health.on_second.append(metrics.measure)
    return app


def start(settings: PresenceSettings) -> int:
    return worker.run(build(settings), settings)
