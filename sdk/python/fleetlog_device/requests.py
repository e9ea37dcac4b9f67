"""Which commands were taken already. Pure: a command runs at most once, and is answered until the hub has it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

RETENTION: Final = 8 * 24 * 3600 * 1000
"""ms. A day longer than the seven that a command waits by default."""
CAPACITY: Final = 10_000
"""Request ids that are remembered at most."""
UNDATED: Final = 1 << 53
"""In the place of a time, where a command was taken before the hub had told its own: the device's clock may stand at
1970, or be set at any moment. Such requests are forgotten by their number only."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command that was taken: written before its handler runs, and again with its outcome."""

    request_id: str
    taken_at: int
    """Unix ms of the hub's clock, or `UNDATED`."""
    topic: str
    """Where the reply belongs."""
    outcome: bytes | None = None
    """The reply; None: the handler has not ended."""
    answered: bool = False
    """The broker has acknowledged the reply."""


def settled(request: Request, outcome: bytes) -> Request:
    return replace(request, outcome=outcome)


def resumed(request: Request) -> Request:
    """What a process finds that the one before had not finished.

    Nobody can tell how far the handler came, so it is not run again; the caller hears that.
    """
    if request.outcome is not None:
        return request
    return settled(request, failure("interrupted", "the device started anew while it ran the command"))


def is_expired(expires_at: int | None, now: int) -> bool:
    """Both in ms. At the moment itself it is."""
    return expires_at is not None and now >= expires_at


def deadline(expires_at: int | None, remaining: int | None, now: int, *, certain: bool = True) -> int | None:
    """The earlier end, in ms, of ``expires_at`` (Unix s) and MQTT's message expiry (s that remained at ``now``, ms).

    ``certain``: ``now`` is the hub's time. A device's own clock may be off by days: then MQTT's expiry, which needs no
    clock, decides alone where there is one.
    """
    ends = []
    if expires_at is not None and (certain or remaining is None):
        ends.append(expires_at * 1000)
    if remaining is not None:
        ends.append(now + remaining * 1000)
    return min(ends, default=None)


def failure(code: str, message: str) -> bytes:
    """The reply to a command that did not come to an end."""
    return json.dumps({"error": {"code": code, "message": message[:500]}}, ensure_ascii=False).encode()
