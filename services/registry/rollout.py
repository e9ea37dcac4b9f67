"""Requests about products, and what partitions tell of them: the home partition's part of the step. Pure.

Whoever asked is answered when every partition has taken the version, by the acknowledgement that completes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.runtime.lane.answers import answer
from libs.runtime.lane.verdicts import Again, refusal
from libs.topics import catalog, names
from libs.topics.messages.registry import PutProduct
from libs.topics.messages.registry_events import ProductChanged, ProductClosing, ProductDeleted

from .documents import document, product_view
from .fold import fold
from .memory import remember
from .products import conclude
from .spread import begin, decided, reached, take, wait
from .verdicts import CONFLICT, CREATED, DONE, GONE, product_has_devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.answers import Asking
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.registry import ProductTaken

    from .decide import Events, ProductAsked
    from .fold import Event, ProductEvent
    from .model import Entry, Waiter


def asked(
    entry: Entry, message: ProductAsked, decision: Events | Again, at: At, partitions: int
) -> tuple[Entry, Sequence[Output]]:
    """Begin what was decided, and answer now or let the request wait."""
    outputs: tuple[Output, ...] = ()
    after = entry
    status = _status(entry, message)
    if isinstance(decision, Again):
        status, version = decision.answered.status, decision.answered.version
    else:
        for event in decision:
            after, said = _begun(after, message, event, at, partitions)
            outputs = (*outputs, *said)
        version = _newest(after)
        if isinstance(message, PutProduct) and message.idempotency is not None:
            known = message.idempotency
            after = remember(after, known.key, known.fingerprint, status, at.timestamp, version=version)
    spread = after.spread
    if spread is not None and reached(spread, partitions) < version:
        return wait(after, spread, message, version, status), outputs
    return after, (*outputs, *_answered(message, status, message.product_id, after, at))


def _status(entry: Entry, message: ProductAsked) -> int:
    if not isinstance(message, PutProduct):
        return GONE
    return CREATED if entry.product is None else DONE


def _newest(entry: Entry) -> int:
    """Return the version that answers, when every partition has taken it."""
    if entry.spread is not None:
        return entry.spread.version
    return 0 if entry.product is None else entry.product.version


def _begun(
    entry: Entry, message: ProductAsked, event: Event | ProductClosing, at: At, partitions: int
) -> tuple[Entry, Sequence[Output]]:
    """Broadcast what was decided."""
    if isinstance(event, ProductClosing):
        closing = begin(entry, event.version, "closing", message.requested_by)
        return closing, catalog.broadcast(names.REGISTRY_INBOX, event, partitions)
    assert isinstance(event, ProductChanged)
    credential = message.credential if isinstance(message, PutProduct) else None
    after = begin(fold(entry, event, credential), event.version, "open", event.by)
    return after, _announced(after, event, at, partitions)


def _announced(after: Entry, event: ProductEvent, at: At, partitions: int) -> tuple[Output, ...]:
    """Tell of an event in the public log, in every partition of the inboxes that follow it, and as the document."""
    said = catalog.announce(names.REGISTRY_EVENTS, at.key, event, partitions)
    return (*said, document(names.REGISTRY_PRODUCTS, at.key, after))


def acknowledged(
    row: Entry | None, message: ProductTaken, at: At, partitions: int
) -> tuple[Entry | None, Sequence[Output]]:
    """Fold what a partition tells: answer who waits for no more, and go on where all have told."""
    taken = None if row is None or row.spread is None else take(row.spread, message, partitions)
    if row is None or taken is None:
        return row, ()
    after = replace(row, spread=taken.spread)
    outputs: tuple[Output, ...] = ()
    for waiter in taken.ripe:
        outputs = (*outputs, *_told(waiter, message.product_id, after, at))
    if not taken.complete:
        return after, outputs
    if taken.spread.state != "closing":
        return replace(after, spread=None), outputs
    product = after.product
    assert product is not None, "a product is there until its deletion is decided"
    event = conclude(message.product_id, product, taken.spread, at)
    after = decided(fold(after, event), taken.spread, deleted=isinstance(event, ProductDeleted), now=at.timestamp)
    return after, outputs + _announced(after, event, at, partitions)


def _told(waiter: Waiter, product_id: str, entry: Entry, at: At) -> Sequence[Output]:
    """Answer somebody who waited."""
    if waiter.status != CONFLICT:
        return _answered(waiter, waiter.status, product_id, entry, at)
    return refusal(waiter, at, product_has_devices(product_id, waiter.devices))


def _answered(request: Asking, status: int, product_id: str, entry: Entry, at: At) -> Sequence[Output]:
    if status == GONE or entry.product is None:
        return answer(request, at, status)
    return answer(request, at, status, product_view(product_id, entry.product), entry.product.version)
