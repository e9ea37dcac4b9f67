"""The wiring of the shadow service: one lane over ``shadow.inbox``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics import names
from libs.topics.codec import Decoder

from . import metrics
from .lives import deadline
from .model import Entry, Head, Product
from .reference import fold_reference, sum_up
from .step import Message, step
from .views import listing, show_document, show_named, show_status, show_stored, show_summary, terms

if TYPE_CHECKING:
    from .settings import ShadowSettings

SERVICE = "shadow"
TABLE = "documents"

MAX_ROW: Final = 768 * 1024
"""Bytes: a device's shadows with their metadata, its status, and the rest of the row."""


def build(settings: ShadowSettings) -> LaneApp:
    app = LaneApp(SERVICE, kafka=settings.kafka, lane=settings.lane, reads=settings.reads)
    app.lane(
        TABLE,
        inbox=names.SHADOW_INBOX,
        decode=Decoder[Message](Message),
        row=Entry,
        head=Head,
        step=partial(step, tell=metrics.count),
        dead_letters=names.dead_letters(SERVICE),
        shared=-1,  # the newest tick: before the first one none
        cell=Product,
        fold_shared=fold_reference,
        swept=sum_up,
        terms=terms,
        deadline=deadline,
        listing=listing,
        max_row=MAX_ROW,
        tick=True,
        views={
            "document": show_document,
            "named": show_named,
            "status": show_status,
            "summary": show_summary,
            "stored": show_stored,
        },
    )
    app.health.on_second.append(metrics.measure)
    return app


def start(settings: ShadowSettings) -> int:
    return worker.run(build(settings), settings)
