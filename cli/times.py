"""Moments as people type and read them, and as scripts do. Pure: the present and the time zone are arguments."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

AGO: Final = re.compile(r"(\d+)(s|m|h|d)")
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MOMENTS: Final = re.compile(r"(?:.*_)?(?:at|since|until)")
"""Names of fields that hold Unix milliseconds in the hub's documents."""
FREE: Final = frozenset(
    {"attributes", "shadow_template", "payload", "desired", "reported", "delta", "old", "new", "status"}
)
"""Fields that hold what devices and applications put there: nothing in them is ours to interpret."""
STATUS: Final = frozenset({"status", "message_id", "reported_at"})
"""Fields of a status with what the hub knows of it, which a device's page calls a status, too."""


def parse_span(text: str) -> int:
    """``90s``, ``15m``, ``12h`` or ``7d`` in milliseconds. Raises ValueError."""
    form = AGO.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is no span of time: use a number with s, m, h or d, such as 15m")
    return int(form[1]) * SECONDS[form[2]] * 1000


def parse_moment(text: str, now: float, zone: tzinfo | None = None) -> int:
    """A moment in Unix milliseconds: RFC 3339, without an offset in ``zone`` (None: local), or so long ago (``15m``).

    ``now``: Unix seconds. Raises ValueError.
    """
    if AGO.fullmatch(text):
        return int(now * 1000) - parse_span(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: use 2026-03-01T12:00:00Z, or 15m for so long ago") from None
    if moment.tzinfo is None:
        moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
    return round(moment.timestamp() * 1000)


def rfc3339(millis: int) -> str:
    """In UTC, with milliseconds: ``2026-03-01T12:00:00.123Z``."""
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(millis: int, zone: tzinfo | None = None, *, exact: bool = False) -> str:
    """``2026-03-01 13:00:00``, in ``zone`` (None: local); ``exact``: with milliseconds."""
    moment = datetime.fromtimestamp(millis / 1000, zone)
    return moment.replace(tzinfo=None).isoformat(" ", "milliseconds" if exact else "seconds")


def span(millis: int) -> str:
    """In the largest unit that tells it whole: ``7d``, ``90s``; ``1500ms``."""
    for unit in ("d", "h", "m", "s"):
        if millis % (SECONDS[unit] * 1000) == 0 and millis:
            return f"{millis // (SECONDS[unit] * 1000)}{unit}"
    return f"{millis}ms"


def is_moment(name: str, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and MOMENTS.fullmatch(name) is not None


def for_scripts(value: Any) -> Any:
    """Copy a document of the hub with its moments in RFC 3339."""
    if isinstance(value, list):
        return [for_scripts(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: item if is_free(name, item) else _moment(name, item) for name, item in value.items()}


def is_free(name: str, value: Any) -> bool:
    """Tell whether a field holds what devices and applications put there."""
    return name in FREE and not (name == "status" and isinstance(value, dict) and value.keys() == STATUS)


def _moment(name: str, value: Any) -> Any:
    return rfc3339(value) if is_moment(name, value) else for_scripts(value)
