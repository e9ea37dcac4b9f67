"""What the shadow service tells Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from libs.runtime import metrics

if TYPE_CHECKING:
    from libs.runtime.lane.lane import Lane

MESSAGES = metrics.counter(
    "shadow_messages",
    "Messages by what came of them: changed, unchanged (it was so already), again (a repetition), folded, shown, "
    "late (of a device that was deleted, and dropped), or the code of the refusal.",
    ("kind", "outcome"),
)
ROWS = metrics.gauge("shadow_rows", "Devices whose shadows are served here.")

_counted: Final[Counter[tuple[str, str]]] = Counter()
"""Since the last second: a counter with labels costs as much as a merge."""


def count(kind: str, outcome: str) -> None:
    _counted[kind, outcome] += 1


def measure(lane: Lane) -> None:
    """Hand over what was counted, and set the gauge; no row is read for it."""
    for labels, messages in _counted.items():
        MESSAGES.labels(*labels).inc(messages)
    _counted.clear()
    owned = lane.reads.owned()
    ROWS.set(sum(len(part.rows) for part in lane.parts.active_parts() if part.number in owned))
