"""The wiring of the commands service: one lane over ``commands.inbox``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from libs.runtime.lane import worker
from libs.runtime.lane.app import LaneApp
from libs.topics import names
from libs.topics.codec import Decoder

from . import metrics
from .lives import deadline
from .model import Entry, Product
from .reference import fold_reference, sum_up
from .step import Message, step
from .views import listing, show_commands, show_fanouts, show_pending, terms

if TYPE_CHECKING:
    from .settings import CommandsSettings

SERVICE = "commands"
TABLE = "ledger"

MAX_ROW: Final = 768 * 1024
"""Bytes: what `limits` lets a device have open, and what is remembered of the rest."""


def build(settings: CommandsSettings) -> LaneApp:
    app = LaneApp(SERVICE, kafka=settings.kafka, lane=settings.lane, reads=settings.reads)
    rules = settings.rules()
    app.lane(
        TABLE,
        inbox=names.COMMANDS_INBOX,
        decode=Decoder[Message](Message),
        row=Entry,
        step=partial(step, rules=rules, tell=metrics.count, tell_end=metrics.count_end),
        dead_letters=names.dead_letters(SERVICE),
        shared=-1,  # the newest tick: before the first one none
        cell=Product,
        fold_shared=partial(fold_reference, rules=rules),
        swept=partial(sum_up, rules=rules),
        terms=terms,
        deadline=partial(deadline, rules=rules),
        listing=listing,
        max_row=MAX_ROW,
        tick=True,
        views={"commands": show_commands, "pending": show_pending, "fanouts": show_fanouts},
    )
    app.health.on_second.append(metrics.measure)
    return app


def start(settings: CommandsSettings) -> int:
    return worker.run(build(settings), settings)
