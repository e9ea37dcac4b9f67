"""Which messages belong to which MQTT session. Pure.

Shards have disjoint filters, so that one device's messages always travel through one session and stay in order. MQTT
has no filter for "all other products" and no plain broker divides a session by device, so a plan names products. What
has no product, the sources of connection events, belongs to `FIRST`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from libs.runtime.shards import Plan

FILTERS: Final = (
    "upload_data/#",
    "update_status/#",
    "cmd_resp/#",
    "rpc_resp/#",
    "get/#",
    "update_ota_status/#",
    "m2m/#",
    "/shadow/+/+/update",
    "/shadow/update/#",
    "/sys/+/+/rrpc/response/#",
)
"""All that devices publish. In each, the first wildcard stands where the product does. A topic that two filters match
is delivered twice; only ambiguous ones do."""

FIRST: Final = 0
"""The shard that also hears the sources of connection events, since their order counts across products."""


def filters(plan: Plan, shard: int, events: tuple[str, ...]) -> tuple[str, ...]:
    """What the session of a shard subscribes to. ``events``: filters of the sources of connection events."""
    products = plan[shard]
    own = tuple(narrowed(pattern, product) for product in products for pattern in FILTERS) if products else FILTERS
    return (*own, *events) if shard == FIRST else own


def narrowed(pattern: str, product: str) -> str:
    """The filter for one product's part of what ``pattern`` matches."""
    levels = pattern.split("/")
    at = next(number for number, level in enumerate(levels) if level in {"+", "#"})
    return "/".join((*levels[:at], product, *levels[at + (levels[at] == "+") :]))
