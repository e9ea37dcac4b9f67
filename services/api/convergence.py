"""Whether a device has become as a patch wants it: followed through the events of its shadow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from libs.shadow import trees

from .merge_patch import merged

if TYPE_CHECKING:
    from libs.shadow.trees import Tree
    from libs.topics.messages.shadow_changes import ShadowChanged

    from .shadow_documents import Shadow

Verdict: TypeAlias = Literal["pending", "converged", "superseded"]


class Convergence:
    """Of one patch. It has converged when all fields that the patch set are reported so, at the same time.

    It is superseded once a field is neither reported nor desired so any more: waiting longer would be for nothing.
    """

    def __init__(self, patch: Tree, made: Shadow) -> None:
        """``made``: the document that the patch made."""
        said = trees.fields(trees.merge({}, {}, patch, 0)[0])
        desired = made.state.desired
        self._wanted = [(path, value) for path, value in said if trees.agrees(value, trees.find(desired, path))]
        self.begin(made)

    def begin(self, document: Shadow) -> None:
        """Go on from a document as the owner shows it."""
        self._version, self._created_at = document.version, document.created_at
        self._desired, self._reported = document.state.desired, document.state.reported

    def take(self, event: ShadowChanged) -> bool:
        """Fold an event of this shadow; one that the document has already changes nothing.

        False: one before it is missing, so the owner must be asked, and `begin` called.
        """
        known = event.version <= self._version and event.created_at == self._created_at
        if known or event.created_at < self._created_at:
            return True
        if event.version_before != self._version:
            return False
        self._version, self._created_at = event.version, event.created_at
        gone = event.cause == "deleted"
        self._desired = _folded(self._desired, event.desired, cleared=gone or "desired" in event.cleared)
        self._reported = _folded(self._reported, event.reported, cleared=gone or "reported" in event.cleared)
        return True

    def verdict(self) -> Verdict:
        open_fields = [(path, value) for path, value in self._wanted if not _agrees(value, self._reported, path)]
        if not open_fields:
            return "converged"
        return "pending" if all(_agrees(value, self._desired, path) for path, value in open_fields) else "superseded"


def _agrees(value: Any, section: Tree, path: str) -> bool:
    return trees.agrees(value, trees.find(section, path))


def _folded(section: Tree, patch: Tree | None, *, cleared: bool) -> Tree:
    before: Tree = {} if cleared else section
    return before if patch is None else merged(before, patch)
