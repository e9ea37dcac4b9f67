"""Questions to ClickHouse about the past of shadows. Pure, as `queries`.

The versions of one document, which `created_at` names, have no gap and no double: they order its changes exactly. Times
only choose among them. A device that was deleted and registered anew begins at version 1 again, with another document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.shadow.document import CHECKPOINT

from .moments import stored
from .queries import OWN, Question, page

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis

    from .queries import About, Place
    from .shadow_id import ShadowId

SHADOW: Final = f"{OWN} AND shadow = {{shadow:String}}"
CHANGES: Final = f"FROM shadow_events WHERE {SHADOW} AND type = 'shadow_changed'"
NEWEST_FIRST: Final = "ORDER BY created_at DESC, version DESC LIMIT 1"


def history(about: About, name: str | None, before: Place | None, limit: int) -> Question:
    """Ask for changes and refusals, the newest first: (event, at, partition, offset)."""
    return page(
        "SELECT event, toUnixTimestamp64Milli(at), partition, offset FROM shadow_events",
        "at",
        about.parameters(limit=limit, shadow=name or ""),
        before,
        more=" AND shadow = {shadow:String}",
        once_of="shadow_events",
    )


def newest(shadow: ShadowId) -> Question:
    """Ask for the newest change that is stored: (version, at, deleted, deleted with its device), or no row."""
    select = "SELECT version, toUnixTimestamp64Milli(at), cause = 'deleted', cause = 'deleted' AND via = 'registry'"
    return Question(f"{select} {CHANGES} {NEWEST_FIRST}", _parameters(shadow))


def leading_to_version(shadow: ShadowId, version: int) -> Question:
    """Ask for the changes that a version is folded from: (event, has_checkpoint), the oldest first.

    A checkpoint is among them. Of several documents that had this version, the newest one counts.
    """
    return _leading(_parameters(shadow, version=version), "version = {version:UInt64}")


def leading_to_moment(shadow: ShadowId, at: Millis) -> Question:
    """As `leading_to_version`, for the newest version of a moment."""
    return _leading(_parameters(shadow, at=stored(at)), "at <= {at:DateTime64(3, 'UTC')}")


def _leading(parameters: dict[str, Any], condition: str) -> Question:
    last = f"(SELECT max((assumeNotNull(created_at), version)) {CHANGES} AND {condition})"
    return Question(
        f"WITH {last} AS last SELECT event, has_checkpoint {CHANGES} AND created_at = last.1 "
        f"AND version <= last.2 AND version + {CHECKPOINT} > last.2 ORDER BY version, offset LIMIT 1 BY version",
        parameters,
    )


def patch_progress(product_id: str, patch_id: str) -> Question:
    """Ask what came of a patch by tag.

    (tag, shadow, by, at, partitions, matched, changed, refused, converged), or no row.
    """
    return Question(
        "SELECT tag, shadow, by, toUnixTimestamp64Milli(at), partitions, matched, changed, refused, converged "
        "FROM shadow_patch_progress(product = {product:String}, patch = {patch:String})",
        {"product": product_id, "patch": patch_id},
    )


def _parameters(shadow: ShadowId, **more: Any) -> dict[str, Any]:
    return {"product": shadow.product_id, "device": shadow.device_id, "shadow": shadow.name or "", **more}
