from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from libs.runtime import metrics


def exposed() -> str:
    return generate_latest(metrics.registry).decode()


def test_a_metric_is_exposed_under_our_prefix_with_its_meaning() -> None:
    metrics.counter("test_letters", "Letters seen by this test.", ("colour",)).labels("red").inc(2)
    assert "# HELP fleetlog_test_letters_total Letters seen by this test." in exposed()
    assert 'fleetlog_test_letters_total{colour="red"} 2.0' in exposed()


def test_a_counter_is_the_same_with_or_without_its_ending() -> None:
    assert metrics.counter("test_words", "Words.") is metrics.counter("test_words_total", "Words.")


def test_kinds_and_labels_are_listed_for_the_documentation() -> None:
    metrics.gauge("test_depth", "Depth of the test.")
    metrics.histogram("test_seconds", "Duration of the test.", ("step",), buckets=(1.0, 2.0))
    listed = {metric.name: metric for metric in metrics.declared()}
    assert listed["fleetlog_test_depth"] == metrics.Metric("fleetlog_test_depth", "gauge", "Depth of the test.", ())
    assert listed["fleetlog_test_seconds"].kind == "histogram"
    assert listed["fleetlog_test_seconds"].labels == ("step",)
    assert list(listed) == sorted(listed)


@pytest.mark.parametrize("meaning", ["Another meaning.", "Depth of the test."])
def test_one_name_has_one_declaration(meaning: str) -> None:
    metrics.gauge("test_taken", "Depth of the test.")
    with pytest.raises(ValueError, match="fleetlog_test_taken is already declared otherwise"):
        metrics.histogram("test_taken", meaning)


def test_the_process_itself_is_measured() -> None:
    assert "process_resident_memory_bytes" in exposed()
    assert "python_gc_collections_total" in exposed()
