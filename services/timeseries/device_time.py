"""The device's own time of an upload: the member `MEMBER` of a payload that is a JSON object. Pure.

A whole number of milliseconds since 1970, or of seconds where it has at most ten digits. It is believed when it is
plausible beside the hub's clock, which the event carries: so the same record gives the same rows whenever it is read.
What is not believed is counted by reason, and the hub's time takes its place.
"""

from __future__ import annotations

from typing import Any, Final

from .table import DAY
from .tables import METRICS

MEMBER: Final = "ts"

SECONDS_BELOW: Final = 10**10
"""Smaller numbers, of either sign, are seconds; as milliseconds they would be before May 1970."""
LATE_AFTER: Final = 60 * 60 * 1000
"""Milliseconds behind the hub's clock from which a time counts as late: believed, but delivered from a backlog."""
AHEAD_AT_MOST: Final = DAY
BEHIND_AT_MOST: Final = METRICS.retention_ms
"""ClickHouse would drop an older row at its next merge."""
EARLIEST: Final = 978_307_200_000
"""2001-01-01: a clock that shows less was never set."""
END: Final = 2**32 * 1000
"""2106-02-07: later ones do not fit the DateTime by which ClickHouse ages rows."""

ON_TIME: Final = ""
BELIEVED: Final = frozenset({ON_TIME, "late"})


def judge(value: Any, received_at: int) -> tuple[int | None, str]:
    """Return (what the device said in milliseconds, verdict) for the member's value, which is not None.

    The verdict is `ON_TIME`, ``late``, or a reason for not believing it: ``future`` (more than a day ahead),
    ``ancient`` (before 2001, or older than metrics are kept), ``beyond`` (2106 and later), ``not_a_time`` (no whole
    number). The first is None where a DateTime could not hold it. ``received_at``: milliseconds by the hub's clock.
    """
    if type(value) is not int:
        return None, "not_a_time"
    said = value * 1000 if -SECONDS_BELOW < value < SECONDS_BELOW else value
    if said >= END:
        return None, "beyond"
    if said > received_at + AHEAD_AT_MOST:
        return said, "future"
    if said < EARLIEST or said < received_at - BEHIND_AT_MOST:
        return said if said >= 0 else None, "ancient"
    return said, "late" if said < received_at - LATE_AFTER else ON_TIME
