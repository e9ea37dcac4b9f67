"""A question to all partitions of an inbox, of which each one answers for itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestRefused

from .calls import ASKED, Call, NoAnswer, NotAsked, Refused, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Request

    from .calls import Answer, Outcome
    from .client import Requests


async def everywhere(requests: Requests, inbox: str, asked: Sequence[Request], seconds: float) -> list[Outcome]:
    """Made by `Requests.ask_partitions`, which documents the arguments, for one call of it."""
    calls: list[Call | NotAsked] = []
    try:
        for number, request in enumerate(asked):
            try:
                calls.append(requests.send(inbox, BROADCAST_KEY, request, number))
            except NotAsked as error:
                calls.append(error)
        awaited = [call.answer for call in calls if isinstance(call, Call)]
        if awaited:
            await asyncio.wait(awaited, timeout=seconds)
        ends = [call if isinstance(call, NotAsked) else _end(call, inbox, seconds) for call in calls]
    finally:
        for call in calls:
            if isinstance(call, Call):
                requests.settle(call)
    for end in ends:
        ASKED.labels(inbox, outcome_of(end)).inc()
    return [Refused(end) if isinstance(end, RequestRefused) else end for end in ends]


def _end(call: Call, inbox: str, seconds: float) -> Answer | NoAnswer:
    """Return what a call has come to by now."""
    if not call.answer.done():
        return NoAnswer(f"no answer from {inbox} within {seconds:g} s")
    try:
        return call.answer.result()
    except NoAnswer as error:
        return error
