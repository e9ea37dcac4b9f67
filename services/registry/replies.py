"""Refusals as outputs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime.lane.answers import refuse
from libs.topics.codec import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.answers import Asking
    from libs.runtime.lane.model import At, Output

    from .verdicts import Refused


class Misplaced(InvalidMessage):
    """A message under a key that is not its own."""

    code = reason = "misplaced"


class Unfit(InvalidMessage):
    """A request that is none, and for whose answer nobody waits."""


def refusal(request: Asking, at: At, refused: Refused) -> Sequence[Output]:
    """Answer with a refusal. Raises `Unfit` where nobody would hear of a request that is none."""
    if refused.malformed and request.reply_to is None:
        raise Unfit(f"{refused.code}: {refused.detail}")
    return refuse(
        request,
        at,
        refused.status,
        code=refused.code,
        detail=refused.detail,
        advice=refused.advice,
        current=refused.current,
    )
