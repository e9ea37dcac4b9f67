"""What a lane may decide about a request, other than what happens. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import msgspec

from libs.topics.codec import InvalidMessage

from .answers import refuse
from .memory import Answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .answers import Asking
    from .model import At, Output


class Misplaced(InvalidMessage):
    """A message under a key that is not its own."""

    code = reason = "misplaced"


class Unfit(InvalidMessage):
    """A request that is none, and for whose answer nobody waits."""


@final
class Refused(msgspec.Struct, frozen=True):
    """Nothing changes."""

    status: int
    """Of HTTP."""
    code: str
    """Stable, in snake_case."""
    detail: str
    advice: str
    current: Any = None
    """With a conflict: what is there."""
    malformed: bool = False
    """The API lets no such request through: where nobody waits for the answer, it becomes a dead letter."""


@final
class Again(msgspec.Struct, frozen=True):
    """The request was carried out before, under the same idempotency key."""

    answered: Answered


def malformed(code: str, detail: str, advice: str) -> Refused:
    return Refused(400, code, detail, advice, malformed=True)


def unknown_device(product_id: str, device_id: str) -> Refused:
    detail = f"there is no device {product_id}/{device_id}"
    return Refused(404, "unknown_device", detail, "Register the device first.")


def key_reused(key: str) -> Refused:
    detail = f"the idempotency key {key} was used for another request"
    return Refused(422, "idempotency_key_reused", detail, "Use a new key for each new request.")


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
