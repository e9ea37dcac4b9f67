"""The wiring of the registry: one lane over ``registry.inbox``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics import names
from libs.topics.codec import Decoder

from . import metrics
from .memory import deadline
from .model import Entry, Known
from .reference import acknowledge, fold_reference
from .step import Message, step
from .views import listing, show_credentials, show_device, tally, terms

if TYPE_CHECKING:
    from .settings import RegistrySettings

SERVICE = "registry"
TABLE = "registry"


def build(settings: RegistrySettings) -> LaneApp:
    app = LaneApp(SERVICE, kafka=settings.kafka, lane=settings.lane, reads=settings.reads)
    app.lane(
        TABLE,
        inbox=names.REGISTRY_INBOX,
        decode=Decoder[Message](Message),
        row=Entry,
        step=partial(step, partitions=settings.kafka.partitions, tell=metrics.count),
        dead_letters=names.dead_letters(SERVICE),
        shared=-1,  # the newest tick: before the first one none
        cell=Known,
        fold_shared=fold_reference,
        swept=acknowledge,
        terms=terms,
        deadline=deadline,
        tally=tally,
        listing=listing,
        tick=True,
        views={"device": show_device, "credentials": show_credentials},
    )
    app.health.on_second.append(metrics.measure)
    return app


def start(settings: RegistrySettings) -> int:
    return worker.run(build(settings), settings)
