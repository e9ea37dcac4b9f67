from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.sightings import Latency, Sightings, percentile
from fleet.truth import Truth

DEVICE = ("garden", "station-000")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], q: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, q)
    assert sum(value <= found for value in ordered) >= q / 100 * len(ordered) * (1 - 1e-9)
    assert sum(value < found for value in ordered) <= q / 100 * len(ordered)


def test_known_percentiles() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0), percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (
        1.0,
        50.0,
        99.0,
        100.0,
    )


def test_latency_runs_from_the_publish_to_the_first_answer_that_held_the_row() -> None:
    truth = Truth("run", 0.0)
    truth.enlist(DEVICE)
    sent = [truth.publish(DEVICE, "weather", b"{}", 10.0 + n / 100) for n in range(4)]
    sightings = Sightings()
    sightings.add([], 10.05)
    sightings.add([sent[0].message_id, sent[1].message_id, "of-another-run"], 10.10)
    sightings.add([sent[0].message_id, sent[2].message_id], 10.15)
    sightings.add([], 10.35)
    latency = sightings.latency(truth)
    assert latency is not None
    assert latency.messages == 3
    assert [latency.p50, latency.p99, latency.longest, latency.interval] == pytest.approx([0.10, 0.13, 0.13, 0.05])


def test_without_a_sighting_there_is_no_latency() -> None:
    sightings = Sightings()
    sightings.add([], 1.0)
    assert sightings.latency(Truth("run", 0.0)) is None


def test_a_single_poll_has_no_interval() -> None:
    truth = Truth("run", 0.0)
    truth.enlist(DEVICE)
    sightings = Sightings()
    sightings.add([truth.publish(DEVICE, "weather", b"{}", 1.0).message_id], 2.0)
    assert sightings.latency(truth) == Latency(1, 1.0, 1.0, 1.0, 0.0)
