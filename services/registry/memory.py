"""Requests that come twice: what is remembered of those that were carried out, and for how long. Pure.

Who repeats a request with its idempotency key is answered as the first time, and nothing is done again. Refusals are
not remembered: nothing was done, and the next attempt may find a reason gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from .model import Answered, Entry

if TYPE_CHECKING:
    from libs.topics.messages.base import Idempotency, Millis

ANSWERS: Final = 8
"""Requests that a row remembers, the newest of them."""
AGE: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which a request is remembered."""
ROUND: Final = 60 * 60 * 1000
"""Rows forget by the hour: few different deadlines keep their order short."""


def recalled(entry: Entry | None, idempotency: Idempotency | None, now: Millis) -> Answered | None:
    """Return what was answered under this key, whatever the request was."""
    if entry is None or idempotency is None:
        return None
    for known in entry.answered:
        if known.key == idempotency.key and known.at + AGE > now:
            return known
    return None


def remember(entry: Entry, key: str, fingerprint: str, status: int, now: Millis, *, version: int = 0) -> Entry:
    """Note that a request was carried out; those that are too old or too many are forgotten."""
    kept = [known for known in entry.answered if known.at + AGE > now and known.key != key]
    return replace(entry, answered=(*kept[1 - ANSWERS :], Answered(key, fingerprint, status, version, now)))


def forget(entry: Entry, now: Millis) -> Entry:
    """Forget what is too old; the same entry comes back where nothing is."""
    kept = tuple([known for known in entry.answered if known.at + AGE > now])
    return entry if len(kept) == len(entry.answered) else replace(entry, answered=kept)


def deadline(entry: Entry) -> Millis | None:
    """When there is something to `forget`, or an old secret to expire; None: never, as things are."""
    device = entry.device
    first = None if device is None or device.old_secret is None else device.old_secret.valid_until
    if entry.answered:
        oldest = (min([known.at for known in entry.answered]) + AGE + ROUND) // ROUND * ROUND
        first = oldest if first is None else min(first, oldest)
    return first
