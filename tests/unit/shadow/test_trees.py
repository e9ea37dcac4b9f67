"""Laws of the merge, and of the delta, which everything else about shadows rests on."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.shadow import trees

LAW = settings(max_examples=150, deadline=None)

KEYS = st.sampled_from(["a", "b", "c~", "d/e", ""])
SCALARS = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.sampled_from(["", "x"]))
ARRAYS = st.lists(st.one_of(SCALARS, st.none(), st.dictionaries(KEYS, SCALARS, max_size=1)), max_size=2)
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, st.one_of(SCALARS, ARRAYS), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(SCALARS, ARRAYS, inner), max_size=3),
    max_leaves=6,
)
PATCHES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, st.one_of(SCALARS, ARRAYS, st.none()), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(SCALARS, ARRAYS, st.none(), inner), max_size=3),
    max_leaves=6,
)


def merged(state: dict[str, Any], patch: Any) -> Any:
    """Merge as RFC 7396 spells it out."""
    if not isinstance(patch, dict):
        return patch
    found = dict(state) if isinstance(state, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key, {}), value)
    return found


def times_of(state: dict[str, Any], at: int) -> dict[str, Any]:
    return {key: times_of(value, at) if isinstance(value, dict) else at for key, value in state.items()}


def merge(state: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return trees.merge(state, times_of(state, 1), patch, 2)[0]


@given(state=TREES, patch=PATCHES)
@LAW
def test_a_merge_is_that_of_rfc_7396_and_changes_no_argument(state: dict[str, Any], patch: dict[str, Any]) -> None:
    before = deepcopy((state, patch))
    found = merge(state, patch)
    assert trees.same(found, merged(state, patch))
    assert trees.same(list(before), [state, patch])


@given(state=TREES, patch=PATCHES)
@LAW
def test_a_patch_that_is_met_again_changes_nothing(state: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(state, patch)
    assert trees.same(merge(once, patch), once)


@given(state=TREES, patch=PATCHES)
@LAW
def test_every_field_has_the_time_at_which_it_was_set(state: dict[str, Any], patch: dict[str, Any]) -> None:
    found, times = trees.merge(state, times_of(state, 1), patch, 2)
    assert times.keys() == found.keys()
    fields = dict(trees.fields(found))
    for path, value in fields.items():
        at = trees.find(times, path)
        if value == {} and isinstance(value, dict):
            assert at == {}
        else:
            said = trees.find(patch, path)
            assert at == (1 if said is trees.ABSENT else 2)


def test_null_deletes_and_arrays_are_whole() -> None:
    state = {"a": {"b": 1, "c": [1, {"d": 2}]}, "e": 3}
    assert merge(state, {"a": {"b": None, "c": [None]}, "e": None, "x": {"y": None}}) == {"a": {"c": [None]}, "x": {}}


@given(desired=TREES, reported=TREES)
@LAW
def test_who_reports_the_delta_has_what_is_desired(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    delta = trees.difference(desired, reported)
    told = merge(reported, delta)
    assert trees.difference(desired, told) == {}
    assert bool(delta) == (not trees.agrees(desired, reported))


@given(state=TREES)
@LAW
def test_nothing_differs_from_itself(state: dict[str, Any]) -> None:
    assert trees.difference(state, deepcopy(state)) == {}
    assert trees.same(state, deepcopy(state))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1.0, True),
        ([1], [True], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": {}}, {"a": []}, False),
        ({}, None, False),
        ("1", 1, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
    ],
)
def test_json_values_are_equal_as_json_has_it(one: Any, other: Any, alike: bool) -> None:
    assert trees.same(one, other) is alike
    assert trees.same(other, one) is alike


@given(state=TREES)
@LAW
def test_a_field_is_found_by_its_pointer(state: dict[str, Any]) -> None:
    for path, value in trees.fields(state):
        assert trees.find(state, path) is value
    assert trees.find(state, "/a/no such") is trees.ABSENT


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ({}, 1), ([], 1), ({"a": 1}, 1), ({"a": {"b": []}}, 3), ([{"a": [1]}], 3)]
)
def test_depth_counts_objects_and_arrays(value: Any, levels: int) -> None:
    assert trees.depth(value) == levels
