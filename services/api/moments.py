"""Moments as callers write them: Unix milliseconds, or RFC 3339. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .problems import FieldError, Problem

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis

END: Final = 4_102_444_800_000
"""2100. What is stored is from before."""
_MILLIS: Final = re.compile(r"\d{1,13}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, name: str) -> Millis:
    """Read the query parameter ``name``. Raises `Problem`."""
    if _MILLIS.fullmatch(text):
        found = int(text)
    else:
        try:
            given = datetime.fromisoformat(text)
        except ValueError as error:
            raise _unfit(name) from error
        if given.tzinfo is None:
            raise _unfit(name)
        found = (given - _EPOCH) // (datetime.resolution * 1000)
    if not 0 <= found < END:
        raise _unfit(name)
    return found


def span(begin: str | None, end: str | None, now: Millis, default: Millis) -> tuple[Millis, Millis]:
    """Read ``from`` and ``to``; not given: up to now, for as long as ``default``. Raises `Problem`."""
    to = now + 1 if end is None else moment(end, "to")
    since = max(0, to - default) if begin is None else moment(begin, "from")
    if since >= to:
        raise unfit("from", "`from` must be before `to`")
    return since, to


def stored(time: Millis) -> datetime:
    """Write a moment as ClickHouse takes it as a parameter."""
    return _EPOCH + datetime.resolution * 1000 * time


def unfit(name: str, said: str) -> Problem:
    return Problem("invalid_request", f"{name}: {said}", errors=(FieldError(name, "query", said),))


def _unfit(name: str) -> Problem:
    return unfit(name, "give Unix milliseconds, or RFC 3339 with an offset, such as 2026-01-31T12:00:00Z")
