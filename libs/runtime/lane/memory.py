"""Requests that come twice: what a row remembers of those that were carried out, and for how long. Pure.

Who repeats a request with its idempotency key is answered as the first time, and nothing is done again. Refusals are
not remembered: nothing was done, and the next attempt may find a reason gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.messages.base import Millis

if TYPE_CHECKING:
    from libs.topics.messages.base import Idempotency

ANSWERS: Final = 8
"""Requests that a row remembers, the newest of them."""
AGE: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which a request is remembered."""
ROUND: Final = 60 * 60 * 1000
"""Rows forget by the hour: few different deadlines keep their order short."""


class Answered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request with an idempotency key that was carried out."""

    key: str
    fingerprint: str
    status: int
    version: int
    """Of what it made, where the service says so; else 0."""
    at: Millis


def recalled(answered: tuple[Answered, ...], idempotency: Idempotency | None, now: Millis) -> Answered | None:
    """Return what was answered under this key, whatever the request was."""
    if idempotency is not None:
        for known in answered:
            if known.key == idempotency.key and known.at + AGE > now:
                return known
    return None


def remember(answered: tuple[Answered, ...], new: Answered) -> tuple[Answered, ...]:
    """Note that a request was carried out; those that are too old or too many are forgotten."""
    kept = [known for known in answered if known.at + AGE > new.at and known.key != new.key]
    return (*kept[1 - ANSWERS :], new)


def forget(answered: tuple[Answered, ...], now: Millis) -> tuple[Answered, ...]:
    """Forget what is too old."""
    return tuple([known for known in answered if known.at + AGE > now])


def deadline(answered: tuple[Answered, ...]) -> Millis | None:
    """When there is something to `forget`; None: never, as things are."""
    return (min([known.at for known in answered]) + AGE + ROUND) // ROUND * ROUND if answered else None
