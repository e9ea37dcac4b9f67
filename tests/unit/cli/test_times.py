"""Moments as people type and read them, and as scripts do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import times

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MILLIS = st.integers(0, 4_102_444_800_000)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01T13:00:00", NOON),
        ("2026-03-01 13:00", NOON),
        ("15m", NOON - timedelta(minutes=15)),
        ("2d", NOON - timedelta(days=2)),
    ],
)
def test_moments_as_people_type_them(text: str, moment: datetime) -> None:
    zone = timezone(timedelta(hours=1))
    assert times.parse_moment(text, NOON.timestamp(), zone) == moment.timestamp() * 1000


@given(MILLIS)
def test_what_scripts_read_can_be_typed_in(millis: int) -> None:
    assert times.parse_moment(times.rfc3339(millis), 0) == millis


@given(st.integers(0, 100_000), st.sampled_from("smhd"))
def test_spans_are_shown_as_they_can_be_typed(number: int, unit: str) -> None:
    millis = times.parse_span(f"{number}{unit}")
    assert millis == number * times.SECONDS[unit] * 1000
    if number:
        assert times.parse_span(times.span(millis)) == millis


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "tomorrow", "-1h"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        times.parse_moment(text, 0)


def test_scripts_read_rfc_3339_wherever_the_hub_has_a_moment() -> None:
    noon = int(NOON.timestamp() * 1000)
    document = {
        "created_at": noon,
        "last_traffic_at": None,
        "session": {"since": noon, "channels": [{"opened_at": noon}]},
        "old_secret_valid_until": noon,
        "tags_version": 7,
        "enabled": True,
    }
    text = "2026-03-01T12:00:00.000Z"
    assert times.for_scripts(document) == {
        "created_at": text,
        "last_traffic_at": None,
        "session": {"since": text, "channels": [{"opened_at": text}]},
        "old_secret_valid_until": text,
        "tags_version": 7,
        "enabled": True,
    }


@given(st.dictionaries(st.text(), st.integers() | st.booleans() | st.text()))
def test_what_applications_put_into_a_document_stays_as_it_is(attributes: dict[str, Any]) -> None:
    assert times.for_scripts({"attributes": attributes}) == {"attributes": attributes}
