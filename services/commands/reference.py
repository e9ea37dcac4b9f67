"""What broadcasts do: every partition knows the products, and fan-outs find their devices. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.runtime.lane.answers import address, answer
from libs.runtime.lane.model import At, Due, Everything, Folded, Output, Sweep, Terms
from libs.runtime.lane.verdicts import Misplaced, Unfit, refusal
from libs.topics import catalog, names
from libs.topics.messages.command_events import FanOutStarted
from libs.topics.messages.command_requests import CancelFanOut, SendToTag
from libs.topics.messages.command_views import FanOutCancelled
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry_events import ProductChanged, ProductDeleted

from . import limits, tag_topics
from .model import Product
from .outcomes import ACCEPTED, DONE
from .views import request_term, tag_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Millis

    from .limits import Rules
    from .model import Entry, Reference


def fold_reference(shared: Reference, event: Any, at: At, *, rules: Rules) -> Folded[Millis, Product]:
    """Fold a broadcast, and name the rows that it visits. Raises `InvalidMessage`: dead letters.

    A version of a product that is not newer than the known one was met before: it changes nothing.
    """
    match event:
        case TimePassed():
            return Folded(max(shared.state, event.at), Due(event.at) if event.at > shared.state else None)
        case SendToTag() | CancelFanOut():
            if event.partition != at.partition:
                raise Misplaced(f"a fan-out for partition {event.partition} in {at.partition}")
            address(event)
            if isinstance(event, CancelFanOut):
                return Folded(shared.state, Terms((request_term(event.fanout_id),)))
            return _fanned(shared, event, at, rules)
        case ProductChanged() | ProductDeleted():
            known = shared.cells.get(event.product_id)
            if known is not None and event.version <= known.version:
                return Folded(shared.state)
            if isinstance(event, ProductDeleted):
                return Folded(shared.state, cells={event.product_id: None})
            to_tags = () if known is None else known.to_tags
            product = Product(event.version, event.defaults.command_ttl, event.defaults.probe_interval, to_tags)
            before = None if known is None else known.probe_interval
            due = Everything() if product.probe_interval not in {None, before} else None
            return Folded(shared.state, due, {event.product_id: product})
        case _:
            raise Misplaced(f"{at.key!r} is the key of broadcasts")


def _fanned(shared: Reference, event: SendToTag, at: At, rules: Rules) -> Folded[Millis, Product]:
    """Name the members of a fan-out; one that is refused visits nobody, and `sum_up` says why."""
    if fault := limits.fault(event, event.fanout_id, rules):
        if event.reply_to is None:
            raise Unfit(f"{fault.code}: {fault.detail}")
        return Folded(shared.state, Terms(()))
    cells = tag_topics.noted(shared, event, at, rules)
    return Folded(shared.state, Terms((tag_term(event.product_id, event.tag),)), cells)


def sum_up(shared: Reference, event: Any, at: At, sweep: Sweep, *, rules: Rules) -> Sequence[Output]:
    """Say what came of a fan-out in this partition: to the log, and to whoever asked."""
    if isinstance(event, CancelFanOut):
        cancelled = sum(1 for row in sweep.visited if _cancelled(row, event.fanout_id))
        return answer(event, at, DONE, FanOutCancelled(event.fanout_id, at.partition, cancelled))
    if not isinstance(event, SendToTag):
        return ()
    if fault := limits.fault(event, event.fanout_id, rules):
        return refusal(event, at, fault)
    started = {"accepted": 0, "queued": 0, "rejected": 0}
    for row in sweep.visited:
        fanned = None if row is None else row.visit(event.fanout_id)
        if fanned is not None and fanned.outcome != "refused":
            started[fanned.outcome] += 1
    told = FanOutStarted(
        id=at.id(),
        fanout_id=event.fanout_id,
        product_id=event.product_id,
        tag=event.tag,
        partition=at.partition,
        members=sweep.matched,
        accepted=started["accepted"],
        queued=started["queued"],
        refused=sweep.matched - sum(started.values()),
        rejected=started["rejected"],
        at=max(at.timestamp, shared.state),
    )
    return (
        *catalog.publish(names.COMMANDS_EVENTS, event.fanout_id.encode(), told),
        *tag_topics.publish(shared, event, at, rules),
        *answer(event, at, ACCEPTED, told),
    )


def _cancelled(row: Entry | None, fanout_id: str) -> bool:
    past = None if row is None else row.recall(fanout_id)
    return past is not None and past.state == "cancelled"
