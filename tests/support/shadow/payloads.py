"""Payloads of shadow messages as a device may send them, most of them wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

GARBAGE: Final = (b'{"method": {}, "state": [], "version": {}, "shadow": [], "reported_version": []}',)

_names = st.sampled_from(["a", "b", "color", "null", ""])
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**62, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.just("null"),
)
_values: st.SearchStrategy[Any] = st.recursive(
    _scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3))
)
_sections = st.one_of(_scalars, st.dictionaries(_names, _values, max_size=3), st.lists(_values, max_size=2))
_versions: st.SearchStrategy[Any] = st.one_of(st.integers(-3, 5), _scalars, st.just([]))


def payloads(methods: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Any bytes, any JSON, and messages in which each part may be missing or wrong."""
    some = {
        "method": st.one_of(st.sampled_from(methods or ("get",)), _values),
        "state": st.one_of(st.fixed_dictionaries({}, optional={"reported": _sections, "desired": _sections}), _values),
        "version": _versions,
        "reported_version": _versions,
        "shadow": st.one_of(st.sampled_from(["night", "", "a b", "x" * 65]), _values),
    }
    messages = st.fixed_dictionaries({}, optional=some)
    return st.one_of(st.binary(max_size=20), _values.map(_json), messages.map(_json))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
