"""What RFC 7396 says of a merge patch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.merge_patch import merged

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_rfc_s_own_examples_hold(document: dict[str, object], patch: dict[str, object], result: object) -> None:
    assert merged(document, patch) == result


@given(documents, documents)
def test_a_merge_patch_sets_what_it_gives_and_removes_what_is_null(
    old: dict[str, object], patch: dict[str, object]
) -> None:
    found = merged(old, patch)
    assert merged(found, patch) == found
    for name, value in patch.items():
        if value is None:
            assert name not in found
        elif not isinstance(value, dict):
            assert found[name] == value
    assert {name: found[name] for name in found.keys() - patch.keys()} == {
        name: old[name] for name in old.keys() - patch.keys()
    }
