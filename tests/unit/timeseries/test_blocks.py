from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timeseries.blocks import Block, Mark, Plan, UnusableMark, mark, resume
from services.timeseries.rows import TelemetryRows
from services.timeseries.tables import METRICS, RAW_EVENTS

OFFSETS = st.integers(0, 2**62)
MARKS = st.builds(
    lambda first, length: Mark(first, None if length is None else Plan(first, first + length)),
    OFFSETS,
    st.none() | st.integers(0, 10**6),
)


@given(MARKS)
def test_a_mark_survives_kafkas_commit(written: Mark) -> None:
    assert mark(written.offset, written.metadata) == written


@pytest.mark.parametrize("metadata", ["x", "block:", "block:5-9 ", "block:6-9", "block:5-4", "block:-5-9", "BLOCK:5-9"])
def test_metadata_of_somebody_else_is_refused(metadata: str) -> None:
    with pytest.raises(UnusableMark, match="is no plan of a block"):
        mark(5, metadata)


def test_a_token_names_the_block_and_the_table_and_tells_topics_of_one_name_apart() -> None:
    rows = TelemetryRows("device.telemetry", 3)
    block = Block("device.telemetry", "id1", 3, Plan(10, 19), rows)
    assert block.token(RAW_EVENTS) == "device.telemetry-3-10-19-id1-raw_events"
    again = Block("device.telemetry", "id2", 3, Plan(10, 19), rows)
    assert len({block.token(RAW_EVENTS), block.token(METRICS), again.token(RAW_EVENTS)}) == 3


def test_a_partition_without_commit_begins_where_its_log_begins() -> None:
    assert resume(None, 7, 20) == (Mark(7), 7, 0)


def test_reading_goes_on_at_the_commit() -> None:
    assert resume(Mark(7), 0, 20) == (Mark(7), 7, 0)
    assert resume(Mark(20), 0, 20) == (Mark(20), 20, 0)


def test_a_promised_block_is_read_again_from_its_first_record() -> None:
    promised = Mark(7, Plan(7, 12))
    assert resume(promised, 7, 13) == (promised, 7, 0)


def test_what_retention_left_of_a_promised_block_keeps_its_promise() -> None:
    promised = Mark(7, Plan(7, 12))
    assert resume(promised, 10, 13) == (promised, 10, 3)


def test_a_promised_block_that_is_gone_is_counted_and_passed() -> None:
    assert resume(Mark(7, Plan(7, 12)), 13, 20) == (Mark(13), 13, 6)
    assert resume(Mark(7), 10, 20) == (Mark(10), 10, 3)


@pytest.mark.parametrize(("found", "high"), [(Mark(7), 6), (Mark(7, Plan(7, 12)), 12)])
def test_a_log_that_ends_before_the_commit_is_not_guessed_about(found: Mark, high: int) -> None:
    with pytest.raises(UnusableMark, match=f"the log ends at {high}"):
        resume(found, 0, high)
