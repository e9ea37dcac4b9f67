from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet import text
from fleet.books import Entry
from fleet.compare import Finding


def test_a_table_has_texts_to_the_left_and_figures_to_the_right() -> None:
    assert text.table("<>", ("name", "count"), [("a", "1,000"), ("longer", "2")]) == [
        "name    count",
        "-------------",
        "a       1,000",
        "longer      2",
    ]


def test_what_nobody_looked_at_is_no_figure() -> None:
    entry = Entry("weather", "device.telemetry", 1200, 1200, 0, None, None)
    assert text.books([entry]) == [
        "message  Kafka topic       published  acknowledged  in Kafka  in ClickHouse",
        "---------------------------------------------------------------------------",
        "weather  device.telemetry      1,200         1,200         -              -",
        "all                            1,200         1,200         -              -",
    ]


def test_publishes_that_were_cut_off_are_explained() -> None:
    entry = Entry("status", "shadow.inbox", 12, 9, 2, 11, None)
    assert text.books([entry])[-1] == (
        "3 publishes were cut off before their acknowledgement came; 2 of them had reached the broker"
    )


@given(st.lists(st.builds(Finding, st.sampled_from("AB"), st.sampled_from("cd"), st.text("xyz")), max_size=40))
def test_findings_are_counted_by_place_and_sort_and_only_the_first_are_written_out(found: list[Finding]) -> None:
    lines = text.findings(found)
    sorts = {(finding.where, finding.what) for finding in found}
    assert [line for line in lines if not line.startswith(" ")] == [
        f"{where}, {what}: {sum((f.where, f.what) == (where, what) for f in found)}" for where, what in sorted(sorts)
    ]
    assert len(lines) <= len(sorts) * (text.SHOWN + 2)


def test_findings_beyond_the_first_are_only_counted() -> None:
    lines = text.findings([Finding("Kafka", "lost", f"message {n} is gone") for n in range(1007)])
    assert lines[:2] == ["Kafka, lost: 1,007", "  message 0 is gone"]
    assert lines[-1] == "  and 1,002 more"
