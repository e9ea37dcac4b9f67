from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from demo import questions, report
from demo.access import Check
from demo.report import Times
from demo.sightings import Latency
from fleet import books, compare
from fleet.audit import Verdict
from tests.unit.fleet import worlds

if TYPE_CHECKING:
    from fleet.compare import Finding
    from fleet.evidence import Arrival
    from fleet.truth import Truth

GOLDEN = Path(__file__).parent / "golden"
LATENCY = Latency(1234, 0.0812, 0.4021, 1.5, 0.0509)
TIMES = Times(11.04, 0.84, 20.51, 2.2)
CHECKS = [Check(True, "a disabled device is cut off 84 ms after the call"), Check(True, "the old secret is refused")]
SHADOW = [Check(True, "what is desired of a lamp that is on is reported 31 ms after the call")]
COMMANDS = [Check(True, "a probe reaches it, there and back in 12 ms")]
ANSWERS = [
    questions.answer(questions.QUESTIONS[0], ["place", "station", "celsius"], [["garden", "station-000", 35.62]]),
    questions.answer(
        questions.QUESTIONS[1], ["place", "station", "connects", "lost"], [["garden", "station-001", 2, 1]]
    ),
    questions.answer(
        questions.QUESTIONS[2],
        ["time", "messages", "devices"],
        [
            [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), 1200, 2],
            [dt.datetime(2026, 1, 2, 3, 4, 10, tzinfo=dt.UTC), 34, 1],
        ],
    ),
]


def verdict(world: Truth, kafka: list[Arrival], clickhouse: list[Arrival], more: list[Finding]) -> Verdict:
    findings = [
        *compare.messages(world, kafka, "Kafka"),
        *compare.messages(world, clickhouse, "ClickHouse"),
        *compare.presence(world, worlds.documents(world)),
        *compare.transitions(world, worlds.transitions(world), "Kafka"),
        *more,
    ]
    return Verdict(
        books.entries(world, kafka, clickhouse),
        findings,
        books.online(world, worlds.documents(world)),
        books.causes(world, worlds.transitions(world)),
        letters=len(more),
    )


def rendered(
    world: Truth,
    judged: Verdict,
    latency: Latency | None = LATENCY,
    *,
    checks: list[Check] = CHECKS,
    shadow: list[Check] = SHADOW,
    commands: list[Check] = COMMANDS,
) -> str:
    tried = {"checks": checks, "shadow": shadow, "commands": commands}
    parts = report.sections(world, judged, latency, ANSWERS, **tried, times=TIMES)
    return "\n".join(report.render(parts))


def test_the_report_of_a_run_that_balances_reads_as_agreed() -> None:
    world = worlds.truth(messages=40)
    kafka = worlds.arrivals(world, every_unacknowledged=True)
    judged = verdict(world, kafka, worlds.arrivals(world, stored_only=True, every_unacknowledged=True), [])
    assert judged.balanced
    assert rendered(world, judged) == (GOLDEN / "balanced.txt").read_text()


def test_the_report_of_a_run_that_does_not_balance_names_what_and_where() -> None:
    world = worlds.truth(messages=40)
    kafka = worlds.arrivals(world)
    clickhouse = worlds.arrivals(world, stored_only=True)
    del clickhouse[3:10]
    kafka.append(replace(kafka[0], offset=9_999))
    more = [compare.Finding("dead letters", "refused", "ingest refused mqtt:upload_data/garden: too short")]
    judged = verdict(world, kafka, clickhouse, more)
    assert not judged.balanced
    assert rendered(world, judged) == (GOLDEN / "unbalanced.txt").read_text()


def test_a_trial_that_failed_is_marked_and_told_in_the_verdict() -> None:
    world = worlds.truth()
    judged = verdict(world, worlds.arrivals(world), worlds.arrivals(world, stored_only=True), [])
    told = rendered(world, judged, checks=[CHECKS[0], Check(False, "it gets in again")])
    assert "  ✓ a disabled device is cut off 84 ms after the call\n  ✗ it gets in again\n" in told
    assert "  Access is not as it should be: 1 of 2 trials failed.\n" in told
    told = rendered(world, judged, shadow=[Check(False, "a lamp that is on was not so")])
    assert "  ✗ a lamp that is on was not so\n" in told
    assert "  The shadow is not as it should be: 1 of 1 trials failed.\n" in told
    told = rendered(world, judged, commands=[Check(False, "a probe did not reach the thermometer"), *COMMANDS])
    assert "  ✗ a probe did not reach the thermometer\n  ✓ a probe reaches it, there" in told
    assert "  What became of commands is not as it should be: 1 of 2 trials failed.\n" in told


def test_a_latency_that_was_not_measured_is_not_shown_as_a_figure() -> None:
    world = worlds.truth()
    judged = verdict(world, worlds.arrivals(world), worlds.arrivals(world, stored_only=True), [])
    assert "not measured: no row was found" in rendered(world, judged, latency=None)


def test_a_question_without_an_answer_says_so() -> None:
    assert questions.lines(questions.answer(questions.QUESTIONS[0], [], []))[-1] == "  no rows"


@pytest.mark.parametrize("question", questions.QUESTIONS, ids=lambda question: str(question.title))
def test_a_question_aligns_as_many_columns_as_it_selects(question: questions.Question) -> None:
    assert question.sql.count(" AS ") == len(question.columns)
