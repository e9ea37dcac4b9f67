"""JSON objects that are merged, compared and walked: the two sections of a shadow. Pure.

Objects are merged key by key; arrays and scalars are whole, so an array is one field, and so is an empty object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.topics.messages.base import Millis

Tree: TypeAlias = dict[str, Any]
Times: TypeAlias = dict[str, Any]
"""The same tree with the moment at which it was set in place of each field."""

ABSENT: Final = object()
PLAIN: Final = frozenset({str, int, float, bool})


def merge(state: Tree, times: Times, patch: Tree, at: Millis) -> tuple[Tree, Times]:
    """Apply a merge patch (RFC 7396), and note when each of its fields was set; the arguments stay as they are."""
    state, times = state.copy(), times.copy()
    for key, value in patch.items():
        if value.__class__ is dict:
            inner = state.get(key)
            if inner.__class__ is dict:
                state[key], times[key] = merge(inner, times[key], value, at)
            else:
                state[key], times[key] = merge({}, {}, value, at)
        elif value is None:
            state.pop(key, None)
            times.pop(key, None)
        else:
            state[key] = value
            times[key] = at
    return state, times


def present(tombstones: Tree, state: Tree) -> Tree:
    """Return what of a merge patch that only deletes names something that there is.

    Merged whole, ``{"a": {"b": null}}`` would make an empty ``a`` where there was none (RFC 7396).
    """
    found: Tree = {}
    for key, value in tombstones.items():
        if key not in state:
            continue
        if value is None:
            found[key] = None
        elif state[key].__class__ is dict and (inner := present(value, state[key])):
            found[key] = inner
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal. Unlike Python's, true is not 1."""
    if one is other:
        return True
    kind = one.__class__
    if kind in PLAIN and kind is other.__class__:
        return bool(one == other)
    if kind is dict:
        return other.__class__ is dict and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if kind is list:
        return other.__class__ is list and len(one) == len(other) and all(map(same, one, other))
    if kind is bool or other.__class__ is bool:
        return one is other
    return bool(one == other)


def difference(desired: Tree, reported: Tree) -> Tree:
    """Return ``desired`` less what ``reported`` says already, nested; the very tree where that says nothing."""
    if not reported:
        return desired
    found: Tree = {}
    for key, wanted in desired.items():
        actual = reported.get(key, ABSENT)
        if wanted is actual:
            continue
        if wanted.__class__ is dict and actual.__class__ is dict:
            if inner := difference(wanted, actual):
                found[key] = inner
        elif not same(wanted, actual):
            found[key] = wanted
    return found


def agrees(wanted: Any, actual: Any) -> bool:
    """Tell whether a field is as desired: nothing of it is in the `difference`."""
    if wanted.__class__ is dict and actual.__class__ is dict:
        return not difference(wanted, actual)
    return actual is not ABSENT and same(wanted, actual)


def fields(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the JSON Pointer (RFC 6901) and the value of each field."""
    for key, value in tree.items():
        pointer = f"{path}/{token(key)}"
        if value.__class__ is dict and value:
            yield from fields(value, pointer)
        else:
            yield pointer, value


def token(key: str) -> str:
    """Return a key as it is written in a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def find(tree: Tree, pointer: str) -> Any:
    """Return what a JSON Pointer names, or `ABSENT`."""
    found: Any = tree
    plain = "~" not in pointer
    for token in pointer.split("/")[1:]:
        if found.__class__ is not dict:
            return ABSENT
        found = found.get(token if plain else token.replace("~1", "/").replace("~0", "~"), ABSENT)
    return found


def depth(value: Any) -> int:
    """Count the levels of nesting: 0 for a scalar, 1 for an object or array of scalars."""
    if value.__class__ is dict:
        value = value.values()
    elif value.__class__ is not list:
        return 0
    deepest = 0
    for inner in value:
        if (inner.__class__ is dict or inner.__class__ is list) and (found := depth(inner)) > deepest:
            deepest = found
    return 1 + deepest
