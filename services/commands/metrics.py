"""What the commands service tells Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from libs.runtime import metrics

if TYPE_CHECKING:
    from libs.runtime.lane.lane import Lane

MESSAGES = metrics.counter(
    "commands_messages",
    "Messages by what came of them: folded, accepted, queued, sent, replied, late (a reply after the command's end, or "
    "a message of a device that was deleted), again (a repetition), over (about a command that is over), unknown "
    "(about one that nothing is known of), failed, cancelled, or the code of the refusal.",
    ("kind", "outcome"),
)
ENDS = metrics.counter("commands_ends", "Commands that came to their end, by what it was.", ("mode", "state"))
ROWS = metrics.gauge("commands_rows", "Devices whose commands are served here.")

_counted: Final[Counter[tuple[str, str]]] = Counter()
"""Since the last second: a counter with labels costs as much as a fold."""
_ended: Final[Counter[tuple[str, str]]] = Counter()


def count(kind: str, outcome: str) -> None:
    _counted[kind, outcome] += 1


def count_end(mode: str, state: str) -> None:
    _ended[mode, state] += 1


def measure(lane: Lane) -> None:
    """Hand over what was counted, and set the gauge; no row is read for it."""
    for counter, counted in ((MESSAGES, _counted), (ENDS, _ended)):
        for labels, number in counted.items():
            counter.labels(*labels).inc(number)
        counted.clear()
    owned = lane.reads.owned()
    ROWS.set(sum(len(part.rows) for part in lane.parts.active_parts() if part.number in owned))
