"""What differs between two versions of a shadow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.shadow import trees

from .shadow_documents import FieldChange, ShadowDiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.shadow.trees import Tree

    from .shadow_documents import Shadow


def difference(old: Shadow, new: Shadow) -> ShadowDiff:
    """Compare two versions, field by field, in the order of their paths."""
    return ShadowDiff(
        old.version,
        new.version,
        list(_changes(old.state.desired, new.state.desired)),
        list(_changes(old.state.reported, new.state.reported)),
    )


def _changes(old: Tree, new: Tree) -> Iterator[FieldChange]:
    before, after = dict(trees.fields(old)), dict(trees.fields(new))
    for path in sorted(before.keys() | after.keys()):
        was, is_now = before.get(path, trees.ABSENT), after.get(path, trees.ABSENT)
        if was is trees.ABSENT or is_now is trees.ABSENT or not trees.same(was, is_now):
            yield FieldChange(path, _shown(was), _shown(is_now))


def _shown(value: Any) -> Any:
    return msgspec.UNSET if value is trees.ABSENT else value
