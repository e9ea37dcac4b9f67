"""Logs of shadows as the shadow service writes them, for tests to read, and to spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.shadow import document
from libs.shadow.document import CHECKPOINT, Document
from libs.topics.messages.shadow_changes import ShadowChanged

if TYPE_CHECKING:
    from libs.topics.messages.shadow_changes import ShadowDocument

NOW = 1_760_000_000_000


class Life:
    """One shadow, changed again and again; ``events`` is its log."""

    def __init__(self, device: str = "p/d", shadow: str | None = None, source: str = "shadow.inbox-0") -> None:
        self.device, self.shadow, self._source = device, shadow, source
        self.events: list[ShadowChanged] = []
        self.now: Document | None = None
        self._floor = self._offset = 0

    @property
    def key(self) -> str:
        return self.device if self.shadow is None else f"{self.device}/{self.shadow}"

    def desire(self, **desired: Any) -> ShadowChanged:
        return self._change("desired_changed", desired=desired)

    def report(self, **reported: Any) -> ShadowChanged:
        return self._change("reported", reported=reported)

    def clear(self) -> ShadowChanged:
        return self._change("desired_cleared", cleared=("desired",))

    def delete(self) -> ShadowChanged:
        return self._change("deleted")

    def many(self, count: int) -> None:
        for number in range(count):
            self.desire(level=number) if number % 2 else self.report(level=number, at=number)

    def public(self) -> ShadowDocument | None:
        return None if self.now is None else document.public(*self._names, self.shadow, self.now)

    @property
    def _names(self) -> tuple[str, str]:
        product_id, _, device_id = self.device.partition("/")
        return product_id, device_id

    def _change(self, cause: Any, *, desired: Any = None, reported: Any = None, cleared: Any = ()) -> ShadowChanged:
        self._offset += 2
        at = NOW + self._offset
        begins = self.now is None
        before = document.empty(at, self._floor) if self.now is None else self.now
        after, converged = document.change(before, at, desired=desired, reported=reported, cleared=cleared)
        event = ShadowChanged(
            id=f"{self._source}-{self._offset}-0",
            product_id=self._names[0],
            device_id=self._names[1],
            shadow=self.shadow,
            cause=cause,
            via="api",
            by="test",
            desired=desired,
            reported=reported,
            cleared=cleared,
            version_before=before.version,
            version=after.version,
            desired_version=after.desired_version,
            reported_version=after.reported_version,
            delta=after.delta or None,
            converged=converged,
            created_at=before.created_at,
            checkpoint=document.checkpoint(before) if begins or after.version % CHECKPOINT == 0 else None,
            patch_id=None,
            at=at,
        )
        self.now = None if cause == "deleted" else after
        self._floor = after.version
        self.events.append(event)
        return event
