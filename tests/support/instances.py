"""Hypothesis strategies for any message: every field of every type, from what msgspec knows about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

M = TypeVar("M", bound="Message")

INTEGERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def instances(kind: type[M]) -> st.SearchStrategy[M]:
    """Messages of a type, with any value in each field that its annotation allows."""
    found: st.SearchStrategy[M] = _of(inspect.type_info(kind))
    return found


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            return st.builds(info.cls, **{field.name: _of(field.type) for field in info.fields})
        case inspect.UnionType():
            return st.one_of([_of(part) for part in info.types])
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.VarTupleType():
            return st.lists(_of(info.item_type), max_size=4).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=4)
        case _:
            return _SCALARS[type(info)]


_SCALARS: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.StrType: st.text(max_size=80),
    inspect.IntType: INTEGERS,
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
    inspect.AnyType: JSON_VALUES,
    inspect.RawType: JSON_VALUES.map(lambda value: msgspec.Raw(json.dumps(value).encode())),
}
