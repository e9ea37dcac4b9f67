"""Whoever is refused is counted, and told in the log: sparingly, since nothing stops a device from trying on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.runtime import logs, metrics

if TYPE_CHECKING:
    from collections.abc import Callable

log = logs.get(__name__)

LINES: Final = 10
"""Lines in a second; the next one says how many were left out."""
MAX_TEXT: Final = 256
"""Characters of what a stranger says that enter the log."""

DECISIONS = metrics.counter(
    "api_device_decisions",
    "Decisions about who may connect, do what at the broker, or use the API as a device: `allowed`, or why not.",
    ("asked_by", "reason"),
)


class Refusals:
    """``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second, self._lines, self._left_out = 0, 0, 0

    def allow(self, asked_by: str) -> None:
        DECISIONS.labels(asked_by, "allowed").inc()

    def refuse(self, asked_by: str, reason: str, **about: Any) -> None:
        """Count, and log where there is room; ``about``: who it is and what was tried."""
        DECISIONS.labels(asked_by, reason).inc()
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES:
            self._left_out += 1
            return
        self._lines += 1
        said = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in about.items()}
        log.warning("device_refused", asked_by=asked_by, reason=reason, left_out=self._left_out, **said)
        self._left_out = 0
