"""The checks of the benchmarks around ingest see what they look for."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.end_to_end import Event, Probes, message
from bench.support.paced import percentile
from bench.support.uplink import DEVICES, PAYLOAD, Faults, Uploaded, faults_of, messages
from services.ingest.connections import Observer
from services.ingest.parse import Parser

WHOLE = {"d0": [0, 1, 2], "d1": [0, 1]}


def test_a_whole_log_has_no_faults() -> None:
    assert faults_of(WHOLE, 5) == Faults(0, 0, 0)


def test_what_is_missing_twice_or_out_of_order_is_counted() -> None:
    assert faults_of({"d0": [0, 2], "d1": [0, 1]}, 5) == Faults(lost=1, duplicated=0, reordered=0)
    assert faults_of({"d0": [0, 1, 2, 1, 2], "d1": [0, 1]}, 5) == Faults(lost=0, duplicated=2, reordered=1)
    assert faults_of({"d0": [1, 0, 2], "d1": [0, 1]}, 5) == Faults(lost=0, duplicated=0, reordered=1)


def test_messages_are_of_one_size_and_each_device_counts_from_0() -> None:
    parse, seen = Parser(Observer("mosquitto:main", 1), PAYLOAD), dict[str, list[int]]()
    for topic, payload in messages("p", 2 * DEVICES + 1):
        assert len(payload) == PAYLOAD
        parsed = parse(topic, payload, 1, 1_560_432_017_123)
        assert isinstance(parsed, tuple)
        (record,) = parsed
        told = msgspec.json.decode(record.value, type=Uploaded)
        seen.setdefault(told.device_id, []).append(told.payload["n"])
    assert faults_of(seen, 2 * DEVICES + 1) == Faults(0, 0, 0)


def test_an_event_of_the_long_way_tells_its_number_and_its_moment() -> None:
    _, payload = message(7, 1_560_432_017_123_456)
    assert msgspec.json.decode(payload, type=Event) == Event(7, 1_560_432_017_123_456)


def test_a_record_counts_as_seen_by_the_first_look_that_shows_it() -> None:
    probes = Probes.__new__(Probes)
    probes.seen = {0: ([-1, 10, 20], [0.0, 1.0, 2.0])}
    assert [probes.moment(0, offset) for offset in (0, 10, 11, 20)] == [1.0, 1.0, 2.0, 2.0]


@given(st.lists(st.floats(0, 1000), min_size=1), st.sampled_from([0.5, 0.99]))
def test_a_percentile_is_not_exceeded_by_its_part(values: list[float], part: float) -> None:
    found = percentile(sorted(values), part)
    assert sum(value <= found for value in values) >= part * len(values)
