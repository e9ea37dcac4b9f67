from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timeseries.device_time import (
    AHEAD_AT_MOST,
    BEHIND_AT_MOST,
    BELIEVED,
    EARLIEST,
    END,
    LATE_AFTER,
    ON_TIME,
    judge,
)
from services.timeseries.flatten import Metrics
from tests.unit.timeseries.fakes import NOW

SECONDS = NOW // 1000
HUB = st.integers(1_600_000_000_000, 4_000_000_000_000)
WHOLE = st.integers() | st.integers(-(10**13), 10**13) | st.integers(NOW - 2 * BEHIND_AT_MOST, NOW + 2 * AHEAD_AT_MOST)
VALUES = WHOLE | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.just([NOW])


@pytest.mark.parametrize(
    ("value", "said", "verdict"),
    [
        (NOW, NOW, ON_TIME),
        (SECONDS, SECONDS * 1000, ON_TIME),
        (NOW + AHEAD_AT_MOST, NOW + AHEAD_AT_MOST, ON_TIME),
        (NOW + AHEAD_AT_MOST + 1, NOW + AHEAD_AT_MOST + 1, "future"),
        (SECONDS + 2 * 86_400, NOW + 2 * AHEAD_AT_MOST, "future"),
        (NOW - LATE_AFTER, NOW - LATE_AFTER, ON_TIME),
        (NOW - LATE_AFTER - 1, NOW - LATE_AFTER - 1, "late"),
        (NOW - BEHIND_AT_MOST, NOW - BEHIND_AT_MOST, "late"),
        (NOW - BEHIND_AT_MOST - 1, NOW - BEHIND_AT_MOST - 1, "ancient"),
        (0, 0, "ancient"),
        (42, 42_000, "ancient"),
        (-1, None, "ancient"),
        (-(10**30), None, "ancient"),
        (2**32 - 1, (2**32 - 1) * 1000, "future"),
        (2**32, None, "beyond"),
        (END - 1, END - 1, "future"),
        (END, None, "beyond"),
        (NOW * 1000, None, "beyond"),
        (10**400, None, "beyond"),
        (True, None, "not_a_time"),
        (1.79e12, None, "not_a_time"),
        ("2026-11-21T12:00:00Z", None, "not_a_time"),
        ([NOW], None, "not_a_time"),
        ({"ms": NOW}, None, "not_a_time"),
    ],
)
def test_a_time_is_judged_beside_the_hubs(value: Any, said: int | None, verdict: str) -> None:
    assert judge(value, NOW) == (said, verdict)


def test_a_clock_that_was_never_set_is_not_believed_even_by_an_old_hub() -> None:
    assert judge(EARLIEST - 1, EARLIEST) == (EARLIEST - 1, "ancient")
    assert judge(EARLIEST, EARLIEST) == (EARLIEST, ON_TIME)


@given(VALUES, HUB)
def test_what_is_believed_lies_in_the_window_and_in_what_clickhouse_holds(value: Any, hub: int) -> None:
    said, verdict = judge(value, hub)
    if verdict in BELIEVED:
        assert said is not None
        assert max(EARLIEST, hub - BEHIND_AT_MOST) <= said <= min(END - 1, hub + AHEAD_AT_MOST)
    assert said is None or 0 <= said < END


@given(WHOLE, WHOLE, HUB)
def test_a_later_time_is_never_judged_to_be_an_earlier_one(one: int, other: int, hub: int) -> None:
    order = ["ancient", "late", ON_TIME, "future", "beyond"]
    first, second = sorted(time for time in (one, other) if abs(time) >= 10**10) or [hub], [hub]
    verdicts = [order.index(judge(time, hub)[1]) for time in sorted([*first, *second])]
    assert verdicts == sorted(verdicts)


@given(st.integers(-(10**10) + 1, 10**10 - 1), HUB)
def test_seconds_and_milliseconds_of_one_moment_are_the_same(seconds: int, hub: int) -> None:
    if abs(seconds * 1000) >= 10**10:
        assert judge(seconds, hub) == judge(seconds * 1000, hub)


@given(VALUES, HUB, st.dictionaries(st.text(max_size=3).filter(lambda name: name != "ts"), st.integers(0, 9)))
def test_a_ts_is_either_the_time_of_the_metrics_or_one_of_them(value: Any, hub: int, others: dict[str, int]) -> None:
    metrics, without = Metrics(), Metrics()
    ts, said = metrics.add(json.dumps({**others, "ts": value}).encode(), hub)
    assert without.add(json.dumps(others).encode(), hub) == (hub, None)
    if metrics.left_out["unreadable"]:
        return
    believed = metrics.clocks.keys() <= BELIEVED
    assert ts == (said if believed else hub)
    keys = sorted(metrics.keys + metrics.text_keys)
    kept = {"ts", "ts[0]"} & set(keys)
    assert not (believed and kept)
    assert believed or kept or metrics.left_out
    assert [key for key in keys if key not in kept] == sorted(without.keys)


@pytest.mark.parametrize("payload", ['{"inner":{"ts":%d}}', '[{"ts":%d}]', "%d", '{"ts":null,"n":%d}', '{"Ts":%d}'])
def test_only_a_top_level_ts_of_an_object_is_the_devices_time(payload: str) -> None:
    metrics = Metrics()
    assert metrics.add((payload % (NOW - 5)).encode(), NOW) == (NOW, None)
    assert (metrics.values, dict(metrics.clocks)) == ([NOW - 5], {})


def test_many_values_leave_room_beside_a_believed_ts() -> None:
    metrics = Metrics()
    metrics.add(json.dumps({"ts": NOW} | {f"k{n}": n for n in range(512)}).encode(), NOW)
    assert (len(metrics.keys), dict(metrics.left_out)) == (512, {})
