"""What every partition knows of the products, folded from broadcasts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.runtime.lane.model import At, Due, Folded, Terms
from libs.runtime.lane.verdicts import Misplaced
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry_events import ProductChanged, ProductDeleted
from libs.topics.messages.shadow_changes import PatchTagged

from .model import Product
from .views import tag_term

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis

    from .model import Reference


def fold_reference(shared: Reference, event: Any, at: At) -> Folded[Millis, Product]:
    """Fold a broadcast, and name the rows that it visits. Raises `Misplaced`.

    A version of a product that is not newer than the known one was met before: it changes nothing.
    """
    match event:
        case TimePassed():
            return Folded(max(shared.state, event.at), Due(event.at) if event.at > shared.state else None)
        case PatchTagged():
            if event.partition != at.partition:
                raise Misplaced(f"a patch for partition {event.partition} in {at.partition}")
            return Folded(shared.state, Terms((tag_term(event.product_id, event.tag),)))
        case ProductChanged() | ProductDeleted():
            known = shared.cells.get(event.product_id)
            if known is not None and event.version <= known.version:
                return Folded(shared.state)
            if isinstance(event, ProductDeleted):
                return Folded(shared.state, cells={event.product_id: None})
            product = Product(event.version, event.defaults.shadow_template)
            return Folded(shared.state, cells={event.product_id: product})
        case _:
            raise Misplaced(f"{at.key!r} is the key of broadcasts")
