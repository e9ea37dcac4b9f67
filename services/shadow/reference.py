"""What broadcasts do: every partition knows the products, and patches by tag find their devices. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.runtime.lane.answers import address, answer
from libs.runtime.lane.model import At, Due, Folded, Output, Sweep, Terms
from libs.runtime.lane.verdicts import Misplaced, Unfit
from libs.topics import catalog, names
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry_events import ProductChanged, ProductDeleted
from libs.topics.messages.shadow_changes import PatchTagged, TaggedPatchApplied

from . import limits
from .decide import DONE
from .model import Patched, Product
from .views import tag_term, untemplated_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Millis

    from .model import Entry, Reference


def fold_reference(shared: Reference, event: Any, at: At) -> Folded[Millis, Product]:
    """Fold a broadcast, and name the rows that it visits. Raises `InvalidMessage`: dead letters.

    A version of a product that is not newer than the known one was met before: it changes nothing.
    """
    match event:
        case TimePassed():
            return Folded(max(shared.state, event.at), Due(event.at) if event.at > shared.state else None)
        case PatchTagged():
            if event.partition != at.partition:
                raise Misplaced(f"a patch for partition {event.partition} in {at.partition}")
            address(event)
            if fault := limits.misnamed(event.shadow) or limits.unreadable(event.desired):
                raise Unfit(f"{fault.code}: {fault.detail}")
            return Folded(shared.state, Terms((tag_term(event.product_id, event.tag),)))
        case ProductChanged() | ProductDeleted():
            known = shared.cells.get(event.product_id)
            if known is not None and event.version <= known.version:
                return Folded(shared.state)
            if isinstance(event, ProductDeleted):
                return Folded(shared.state, cells={event.product_id: None})
            product = Product(event.version, event.defaults.shadow_template)
            early = None if known is not None else Terms((untemplated_term(event.product_id),))
            return Folded(shared.state, early, {event.product_id: product})
        case _:
            raise Misplaced(f"{at.key!r} is the key of broadcasts")


def sum_up(_: Reference, event: Any, at: At, sweep: Sweep) -> Sequence[Output]:
    """Say what came of a patch by tag in this partition: to the log, and to whoever asked."""
    if not isinstance(event, PatchTagged):
        return ()
    changed = sum(1 for row in sweep.visited if _took(row, event.patch_id))
    applied = TaggedPatchApplied(
        id=at.id(),
        patch_id=event.patch_id,
        partition=at.partition,
        product_id=event.product_id,
        tag=event.tag,
        shadow=event.shadow,
        matched=sweep.matched,
        changed=changed,
        refused=sweep.matched - changed,
        by=event.requested_by,
        at=at.timestamp,
    )
    return (
        *catalog.publish(names.SHADOW_EVENTS, event.patch_id.encode(), applied),
        *answer(event, at, DONE, applied),
    )


def _took(row: Entry | None, patch_id: str) -> bool:
    return row is not None and row.patched == Patched(patch_id, "changed")
