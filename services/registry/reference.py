"""What every partition knows of the products, folded from broadcasts, and what it tells the product's home. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from libs.runtime.lane.model import At, Due, Folded, Keys, Output, Sweep, Terms, send
from libs.runtime.lane.verdicts import Misplaced
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry import ProductTaken
from libs.topics.messages.registry_events import ProductChanged, ProductClosing, ProductDeleted

from .model import Known
from .views import product_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Millis

    from .model import Reference

ProductNews: TypeAlias = ProductChanged | ProductClosing | ProductDeleted
Broadcast: TypeAlias = ProductNews | TimePassed

NOBODY = Keys(())
"""No row is visited, and yet the partition tells that it has taken the broadcast: that is said after a sweep."""


def fold_reference(shared: Reference, event: Any, at: At) -> Folded[Millis, Known]:
    """Fold a broadcast, and name the rows that it visits. Raises `Misplaced`.

    A version that is not newer than the known one was met before: the home partition repeats what it said when it was
    killed. It changes nothing, and is not acknowledged again.
    """
    match event:
        case TimePassed():
            return Folded(max(shared.state, event.at), Due(event.at) if event.at > shared.state else None)
        case ProductChanged() | ProductClosing() | ProductDeleted():
            known = shared.cells.get(event.product_id)
            if known is not None and event.version <= known.version:
                return Folded(shared.state)
            targets = Terms((product_term(event.product_id),)) if isinstance(event, ProductClosing) else NOBODY
            return Folded(shared.state, targets, {event.product_id: _known(known, event)})
        case _:
            raise Misplaced(f"{at.key!r} is the key of broadcasts")


def _known(known: Known | None, event: ProductNews) -> Known:
    match event:
        case ProductChanged(version=version, defaults=defaults):
            return Known(version, "open", defaults.dynamic_registration, defaults.device_to_device, defaults.acl)
        case ProductClosing(version=version) if known is not None:
            return replace(known, version=version, state="closing")  # of the devices that it may still have
        case ProductClosing(version=version):
            return Known(version, "closing")
        case ProductDeleted(version=version):
            return Known(version, "deleted")


def acknowledge(_: Reference, event: Any, at: At, sweep: Sweep) -> Sequence[Output]:
    """Tell the product's home that this partition has taken a version; a closing one, with how many devices it has."""
    if isinstance(event, TimePassed):
        return ()
    devices = sweep.matched if isinstance(event, ProductClosing) else 0
    taken = ProductTaken(event.product_id, event.version, at.partition, devices)
    return (send(names.REGISTRY_INBOX, event.product_id.encode(), encode(taken)),)
