"""Patches by tag: one request to each partition, which changes its own devices of the tag and counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics.messages.shadow_changes import PatchTagged
from libs.topics.names import SHADOW_INBOX

from . import scatter, shadow_queries
from .problems import Problem
from .shadow import storable
from .shadow_documents import TaggedPatch, TaggedPatchProgress

if TYPE_CHECKING:
    from .asking import Asker
    from .hub import Hub


class Counted(msgspec.Struct, frozen=True):
    """What a partition tells of its own devices."""

    matched: int
    changed: int
    refused: int


async def patch(asker: Asker, product_id: str, tag: str, shadow: str | None, desired: dict[str, Any]) -> TaggedPatch:
    """Let every partition merge ``desired`` into the shadows of the tag's devices.

    Raises `Refused` where one refuses the patch itself, `NoAnswer` or `NotAsked` where none answers.
    """
    storable(desired)
    hub = asker.hub
    patch_id = asker.patch_id(product_id, tag)
    requests = [
        PatchTagged(patch_id, number, product_id, tag, shadow, desired, **asker.stamp())
        for number in range(hub.settings.kafka.partitions)
    ]
    told = await scatter.ask(hub, SHADOW_INBOX, requests)
    counted = [msgspec.json.decode(body, type=Counted) for body in told.bodies]
    return TaggedPatch(
        patch_id=patch_id,
        matched=sum(one.matched for one in counted),
        changed=sum(one.changed for one in counted),
        refused=sum(one.refused for one in counted),
        partitions=len(counted),
        missing_partitions=told.missing,
    )


async def progress(hub: Hub, product_id: str, patch_id: str) -> TaggedPatchProgress:
    """Tell how far a patch has come. Raises `Problem` ``unknown_patch`` where nothing of it is stored."""
    rows = await hub.history.ask(shadow_queries.patch_progress(product_id, patch_id))
    for tag, shadow, by, at, partitions, matched, changed, refused, converged in rows:
        return TaggedPatchProgress(
            patch_id=patch_id,
            tag=tag,
            shadow=shadow or None,
            by=by,
            at=at,
            partitions=partitions,
            matched=matched,
            changed=changed,
            refused=refused,
            converged=converged,
        )
    raise Problem("unknown_patch", f"nothing is stored of a patch {patch_id} of {product_id}")
