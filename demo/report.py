"""The demo's report. Pure: the same run gives the same lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleet import text

from . import questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.audit import Verdict
    from fleet.truth import Truth

    from .access import Check
    from .questions import Answer
    from .sightings import Latency


class Times(msgspec.Struct, frozen=True):
    """Seconds that the parts of the demo took."""

    start: float
    """Until Kafka, mosquitto, ClickHouse and the services were ready."""
    register: float
    """Until the broker knew the fleet."""
    run: float
    settle: float
    """From the fleet's last message until everything was compared."""


class Section(msgspec.Struct, frozen=True):
    title: str
    lines: list[str]


def sections(
    truth: Truth,
    verdict: Verdict,
    latency: Latency | None,
    answers: Sequence[Answer],
    *,
    checks: Sequence[Check],
    shadow: Sequence[Check],
    commands: Sequence[Check],
    times: Times,
) -> list[Section]:
    """Everything that a reader wants to know, the verdict last."""
    return [
        Section("The books: what the fleet sent, and where it is", text.books(verdict.entries)),
        Section("Presence: the fleet's own truth, and what the hub says", text.presence(truth, verdict)),
        Section("Latency from a device's publish to a row that a query finds", _latency(latency)),
        Section("Three questions to ClickHouse", _answers(answers)),
        Section("Access: who gets in, and who may say what", [_check(check) for check in checks]),
        Section("Shadow: what a lamp should be, and when it was so", [_check(check) for check in shadow]),
        Section("Commands: what a thermometer was told, and what became of it", [_check(check) for check in commands]),
        Section("Dead letters", [_letters(verdict.letters)]),
        Section(
            "Verdict",
            [
                *_verdict(truth, verdict),
                *_failed("Access is", checks),
                *_failed("The shadow is", shadow),
                *_failed("What became of commands is", commands),
                "",
                _times(times, len(truth.connections)),
            ],
        ),
    ]


def render(parts: Sequence[Section]) -> list[str]:
    """Lay out as plain text."""
    lines: list[str] = []
    for part in parts:
        lines += [part.title, *body(part)]
    return lines


def body(part: Section) -> list[str]:
    """Indent the lines below a title and add an empty one."""
    return [*(f"  {line}".rstrip() for line in part.lines), ""]


def _latency(latency: Latency | None) -> list[str]:
    if latency is None:
        return ["not measured: no row was found"]
    figures = f"p50 {_ms(latency.p50)}   p99 {_ms(latency.p99)}   longest {_ms(latency.longest)}"
    return [
        f"{figures}   ({text.figure(latency.messages)} messages)",
        f"Seen by asking every {_ms(latency.interval)}: a row may have been there for that long before.",
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _answers(answers: Sequence[Answer]) -> list[str]:
    lines: list[str] = []
    for number, given in enumerate(answers, start=1):
        first, *rest = questions.lines(given)
        lines += [f"{number}. {first}", *(f"   {line}".rstrip() for line in rest), ""]
    return lines[:-1]


def _check(check: Check) -> str:
    return f"{'✓' if check.held else '✗'} {check.told}"


def _failed(what: str, checks: Sequence[Check]) -> list[str]:
    failed = sum(not check.held for check in checks)
    return [f"{what} not as it should be: {failed} of {len(checks)} trials failed."] if failed else []


def _letters(count: int | None) -> str:
    return f"{count:,}; the fleet sends nothing that could be refused" if count else "none"


def _verdict(truth: Truth, verdict: Verdict) -> list[str]:
    if verdict.findings:
        return ["The books do not balance.", "", *text.findings(verdict.findings)]
    return [
        "The books balance.",
        f"  All {truth.acknowledgements():,} acknowledged messages are in Kafka exactly once, unaltered and in order;",
        "  telemetry is in ClickHouse exactly once.",
        f"  Presence of all {len(truth.connections):,} devices is the truth, and so is every transition on the way.",
    ]


def _times(times: Times, devices: int) -> str:
    return (
        f"Stack ready after {times.start:.1f} s, {devices:,} devices registered in {times.register:.1f} s, "
        f"fleet {times.run:.1f} s, settled and compared in {times.settle:.1f} s."
    )
