"""One shadow's log, as the shadow service writes it, made with the public fold: for those who only read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.shadow import document
from libs.topics.messages.shadow_changes import ShadowChanged

if TYPE_CHECKING:
    from libs.topics.messages.shadow_changes import Section


class ShadowLog:
    """Each call is one accepted change; ``events`` and ``document`` follow. ``version``: of the shadow before it."""

    def __init__(self, product_id: str, device_id: str, at: int, shadow: str | None = None, version: int = 0) -> None:
        self.product_id, self.device_id, self.shadow = product_id, device_id, shadow
        self.document = document.empty(at, version)
        self.events: list[ShadowChanged] = []
        self.versions: dict[int, document.Document] = {}
        """What the document was at each version."""

    @property
    def key(self) -> bytes:
        return f"{self.product_id}/{self.device_id}".encode()

    def desire(self, at: int, patch: dict[str, Any], *, patch_id: str | None = None) -> ShadowChanged:
        via = "api" if patch_id is None else "tag"
        return self._change(at, "desired_changed", desired=patch, via=via, by="ops", patch_id=patch_id)

    def report(self, at: int, patch: dict[str, Any], *, via: str = "native") -> ShadowChanged:
        return self._change(at, "reported", reported=patch, via=via, by="device")

    def clear(self, at: int, *cleared: Section) -> ShadowChanged:
        return self._change(at, "desired_cleared", cleared=cleared, via="api", by="ops")

    def delete(self, at: int, *, via: str = "api") -> ShadowChanged:
        return self._change(at, "deleted", cleared=("desired", "reported"), via=via, by="ops")

    def _change(
        self,
        at: int,
        cause: Any,
        *,
        via: Any,
        by: str,
        desired: dict[str, Any] | None = None,
        reported: dict[str, Any] | None = None,
        cleared: tuple[Section, ...] = (),
        patch_id: str | None = None,
    ) -> ShadowChanged:
        before = self.document
        after, converged = document.change(before, at, desired=desired, reported=reported, cleared=cleared)
        due = not self.events or after.version % document.CHECKPOINT == 0
        event = ShadowChanged(
            id=f"{self.product_id}-{self.device_id}-{self.shadow or ''}-{before.created_at}-{after.version}",
            product_id=self.product_id,
            device_id=self.device_id,
            shadow=self.shadow,
            cause=cause,
            via=via,
            by=by,
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
            checkpoint=document.checkpoint(before) if due else None,
            patch_id=patch_id,
            at=at,
            pending_since=document.pending_since(after),
        )
        self.document = after
        self.versions[after.version] = after
        self.events.append(event)
        return event
