"""One publish to a tag in the place of those to its devices, where the broker can express it. Pure; docs/commands.md.

Partition 0 publishes it, once for each fan-out: a request that is repeated finds it noted in the product's cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from . import limits, mouth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.command_requests import SendToTag

    from .limits import Rules
    from .model import Product, Reference

PUBLISHER = 0
"""The partition that publishes for all."""


def product_of(shared: Reference, request: SendToTag, rules: Rules) -> Product | None:
    """Return the product to whose tag a fan-out is published; None: each member gets its own."""
    return shared.cells.get(request.product_id) if rules.tag_topics and request.mode == "cmd" else None


def noted(shared: Reference, request: SendToTag, at: At, rules: Rules) -> dict[str, Product | None]:
    """Note in the product's cell that a fan-out is published to its tag, if this is the first request for it."""
    product = product_of(shared, request, rules)
    if product is None or at.partition != PUBLISHER or any(known == request.fanout_id for known, _ in product.to_tags):
        return {}
    kept = product.to_tags[1 - limits.TO_TAGS :]
    return {request.product_id: replace(product, to_tags=(*kept, (request.fanout_id, at.offset)))}


def publish(shared: Reference, request: SendToTag, at: At, rules: Rules) -> Sequence[Output]:
    """Reach the members that hear their tags, if this request was noted."""
    product = product_of(shared, request, rules)
    if product is None or at.partition != PUBLISHER or (request.fanout_id, at.offset) not in product.to_tags:
        return ()
    now = max(at.timestamp, shared.state)
    return mouth.to_tag(at.id(1), request, now + limits.ttl(shared, request.product_id, request, rules), now)
