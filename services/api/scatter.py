"""One request to each partition of an inbox: what those of them that answered in time told, and which did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.runtime.requests.client import NoAnswer, NotAsked, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Request

    from .hub import Hub


class Told(msgspec.Struct, frozen=True):
    """At least one partition has answered."""

    bodies: list[msgspec.Raw]
    missing: list[int]
    """Partitions that did not in time: their part is done later, or was."""


async def ask(hub: Hub, inbox: str, requests: Sequence[Request]) -> Told:
    """Ask all partitions; ``requests``: by partition.

    Raises `Refused` where one refuses the request itself, `NoAnswer` or `NotAsked` where none answers.
    """
    told = await hub.requests.ask_partitions(inbox, requests, hub.settings.answer_s)
    bodies: list[msgspec.Raw] = []
    missing: list[int] = []
    for number, outcome in enumerate(told):
        if isinstance(outcome, Refused):
            raise outcome
        if isinstance(outcome, NoAnswer | NotAsked):
            missing.append(number)
        else:
            bodies.append(outcome.body)
    if not bodies:
        raise next((one for one in told if isinstance(one, NoAnswer)), None) or NotAsked("no partition was asked")
    return Told(bodies, missing)
