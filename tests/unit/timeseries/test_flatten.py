from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timeseries.flatten import MAX_DEPTH, MAX_INDEX, MAX_KEY, MAX_LEAVES, MAX_TEXT, Metrics
from tests.unit.timeseries.fakes import NOW

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)


def flat(payload: bytes | str) -> tuple[dict[str, float], dict[str, str], dict[str, int]]:
    """(numbers, texts, what was left out) of one payload."""
    metrics = Metrics()
    metrics.add(payload.encode() if isinstance(payload, str) else payload, NOW)
    numbers = dict(zip(metrics.keys, metrics.values, strict=True))
    return numbers, dict(zip(metrics.text_keys, metrics.texts, strict=True)), dict(metrics.left_out)


@pytest.mark.parametrize(
    ("payload", "numbers", "texts"),
    [
        ('{"temperature": 21.5, "count": 3}', {"temperature": 21.5, "count": 3}, {}),
        ('{"ok": true, "failed": false, "status": "fine"}', {"ok": 1, "failed": 0}, {"status": "fine"}),
        ('{"engine": {"rpm": 900, "oil": {"bar": 2.5}}}', {"engine.rpm": 900, "engine.oil.bar": 2.5}, {}),
        ('{"cells": [3.9, 4.0]}', {"cells[0]": 3.9, "cells[1]": 4.0}, {}),
        ('{"cells": [{"v": 3.9}], "grid": [[1], [2]]}', {"cells[0].v": 3.9, "grid[0][0]": 1, "grid[1][0]": 2}, {}),
        ("[1, {}, null]", {"[0]": 1}, {}),
        ("21.5", {"value": 21.5}, {}),
        ('"open"', {}, {"value": "open"}),
        ("null", {}, {}),
        ('{"": 1, "a": {"": 2}}', {"": 1, "a.": 2}, {}),
    ],
)
def test_a_payload_becomes_metrics_by_path(payload: str, numbers: dict[str, float], texts: dict[str, str]) -> None:
    assert flat(payload) == (numbers, texts, {})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"k" * MAX_KEY: {"x": 1}}, "key_too_long"),
        ({"text": "x" * (MAX_TEXT + 1)}, "text_too_long"),
        ({"number": 10**400}, "number_too_large"),
        ({"number": -(10**400)}, "number_too_large"),
        ({"list": [0] * (MAX_INDEX + 1)}, "index_too_large"),
        ({f"k{n}": n for n in range(MAX_LEAVES + 1)}, "too_many"),
    ],
)
def test_what_exceeds_a_bound_is_left_out_and_counted(document: Any, reason: str) -> None:
    numbers, texts, left_out = flat(json.dumps(document | {"": 1}))
    assert left_out == {reason: 1}
    assert len(numbers) + len(texts) == min(MAX_LEAVES, len(numbers))


def test_the_bounds_themselves_are_allowed() -> None:
    document = {"k" * MAX_KEY: 1, "text": "x" * MAX_TEXT, "list": [0] * MAX_INDEX, "most": int(sys.float_info.max)}
    numbers, texts, left_out = flat(json.dumps(document))
    assert (len(numbers), len(texts), left_out) == (MAX_INDEX + 2, 1, {})
    assert math.isfinite(numbers["most"])


def test_nesting_is_bounded() -> None:
    allowed: Any = 1
    for _ in range(MAX_DEPTH):
        allowed = {"a": allowed}
    assert flat(json.dumps(allowed))[0] == {".".join("a" * MAX_DEPTH): 1}
    assert flat(json.dumps({"a": allowed, "b": 2})) == ({"b": 2}, {}, {"too_deep": 1})


@pytest.mark.parametrize("payload", ['{"a": 1e999}', '{"a": "\\ud800"}', "[" * 5000 + "]" * 5000, "not json", ""])
def test_what_cannot_be_read_is_counted_and_gives_nothing(payload: str) -> None:
    assert flat(payload) == ({}, {}, {"unreadable": 1})


@given(DOCUMENTS)
def test_every_scalar_is_kept_once_or_counted(document: Any) -> None:
    metrics = Metrics()
    metrics.add(json.dumps(document).encode(), NOW)
    kept = len(metrics.keys) + len(metrics.text_keys)
    scalars = _scalars(document)
    if not metrics.left_out:
        assert kept == len(scalars)
        assert sorted(metrics.texts) == sorted(value for value in scalars if isinstance(value, str))
    else:
        assert kept < len(scalars) or metrics.left_out.keys() <= {"too_deep", "unreadable"}


@given(st.lists(DOCUMENTS, max_size=6))
def test_payloads_do_not_influence_each_other(documents: list[Any]) -> None:
    together = Metrics()
    apart_numbers: list[tuple[str, float]] = []
    apart_texts: list[tuple[str, str]] = []
    for document in documents:
        payload = json.dumps(document).encode()
        together.add(payload, NOW)
        alone = Metrics()
        alone.add(payload, NOW)
        apart_numbers += zip(alone.keys, alone.values, strict=True)
        apart_texts += zip(alone.text_keys, alone.texts, strict=True)
    assert list(zip(together.keys, together.values, strict=True)) == apart_numbers
    assert list(zip(together.text_keys, together.texts, strict=True)) == apart_texts


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_a_flat_object_of_numbers_is_itself(document: dict[str, float]) -> None:
    numbers, texts, left_out = flat(json.dumps(document))
    assert left_out or (numbers, texts) == (document, {})


def _scalars(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return [leaf for member in document.values() for leaf in _scalars(member)]
    if isinstance(document, list):
        return [leaf for member in document for leaf in _scalars(member)]
    return [] if document is None else [document]
