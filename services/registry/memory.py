"""What a row of the registry remembers of requests that were carried out, and when it is visited next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.runtime.lane import memory
from libs.runtime.lane.memory import Answered

if TYPE_CHECKING:
    from libs.topics.messages.base import Idempotency, Millis

    from .model import Entry


def recalled(entry: Entry | None, idempotency: Idempotency | None, now: Millis) -> Answered | None:
    """Return what was answered under this key, whatever the request was."""
    return None if entry is None else memory.recalled(entry.answered, idempotency, now)


def remember(entry: Entry, key: str, fingerprint: str, status: int, now: Millis, *, version: int = 0) -> Entry:
    """Note that a request was carried out; those that are too old or too many are forgotten."""
    return replace(entry, answered=memory.remember(entry.answered, Answered(key, fingerprint, status, version, now)))


def forget(entry: Entry, now: Millis) -> Entry:
    """Forget what is too old; the same entry comes back where nothing is."""
    kept = memory.forget(entry.answered, now)
    return entry if len(kept) == len(entry.answered) else replace(entry, answered=kept)


def deadline(entry: Entry) -> Millis | None:
    """When there is something to `forget`, or an old secret to expire; None: never, as things are."""
    device = entry.device
    first = None if device is None or device.old_secret is None else device.old_secret.valid_until
    oldest = memory.deadline(entry.answered)
    return oldest if first is None else first if oldest is None else min(first, oldest)
