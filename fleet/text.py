"""The books and the findings as text for people. Pure: the same verdict gives the same lines."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from .messages import STORED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .audit import Verdict
    from .books import Entry
    from .compare import Finding
    from .truth import Truth

SHOWN = 5
"""Findings of one sort that are written out."""
UNKNOWN = "-"


def table(columns: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out in columns; ``columns`` has ``<`` or ``>`` for each: to the left or, for figures, to the right."""
    cells = [header, *rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    lines = [
        "  ".join(f"{text:{side}{width}}" for text, side, width in zip(row, columns, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def figure(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def books(entries: Sequence[Entry]) -> list[str]:
    """One line per kind of message and a sum, then what the unacknowledged ones came to."""
    rows = [(e.kind, e.topic, *map(figure, (e.published, e.acknowledged, e.kafka, e.clickhouse))) for e in entries]
    published, acknowledged = sum(e.published for e in entries), sum(e.acknowledged for e in entries)
    sums = (published, acknowledged, _sum(e.kafka for e in entries), _sum(e.clickhouse for e in entries))
    header = ("message", "Kafka topic", "published", "acknowledged", "in Kafka", "in ClickHouse")
    lines = table("<<>>>>", header, [*rows, ("all", "", *map(figure, sums))])
    return [*lines, *_notes(published - acknowledged, entries)]


def _notes(unacknowledged: int, entries: Sequence[Entry]) -> list[str]:
    """Explain figures of a line that are not the same."""
    notes: list[str] = []
    if unacknowledged:
        notes.append(f"{unacknowledged:,} publishes were cut off before their acknowledgement came")
        if all(e.kafka is not None for e in entries):
            notes[0] += f"; {sum(e.unacknowledged_in_kafka for e in entries):,} of them had reached the broker"
    if any(e.clickhouse is not None for e in entries):
        notes.append(f"ClickHouse stores telemetry: {' and '.join(sorted(STORED, reverse=True))}")
    return ["", *notes] if notes else []


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def presence(truth: Truth, verdict: Verdict) -> list[str]:
    """Who is online now, and how often each thing happened to a connection: as the fleet knows and as the hub says."""
    hub = verdict.hub_online
    devices, online = len(truth.connections), truth.online()
    rows: list[tuple[str, int, int | None]] = [
        ("online now", online, hub),
        ("offline now", devices - online, None if hub is None else devices - hub),
    ]
    for cause, count in truth.count_causes().items():
        rows.append((cause.replace("_", " "), count, None if verdict.causes is None else verdict.causes.get(cause, 0)))
    return table("<>>", ("", "fleet", "hub"), [(name, figure(ours), figure(theirs)) for name, ours, theirs in rows])


def _sort(finding: Finding) -> tuple[str, str]:
    return finding.where, finding.what


def findings(found: Sequence[Finding]) -> list[str]:
    """What does not balance: per place and sort how many, and the first few in full."""
    lines: list[str] = []
    for (where, what), group in groupby(sorted(found, key=_sort), key=_sort):
        sentences = [finding.sentence for finding in group]
        lines.append(f"{where}, {what.replace('_', ' ')}: {len(sentences):,}")
        lines += [f"  {sentence}" for sentence in sentences[:SHOWN]]
        if len(sentences) > SHOWN:
            lines.append(f"  and {len(sentences) - SHOWN:,} more")
    return lines
