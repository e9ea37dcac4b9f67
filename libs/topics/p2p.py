"""What applications may send to one client, ``{topic}/p2p/{client id}``: which topics are nobody else's. Pure."""

from __future__ import annotations

from typing import Final

from .access import DEVICE, HUB_ONLY, JOINING, P2P, P2P_AHEAD, is_topic

HEADS: Final = frozenset({*HUB_ONLY, *(rule.topic.split("/", 1)[0] for rule in (*DEVICE, *JOINING))}) - {"+"}
"""First levels of the hub's own topics; the empty one is that of ``/shadow`` and ``/sys``.

``cmd/p/d/p2p/q/e`` would reach the device ``q/e``, and ``p/d`` too, as a command that nobody sent.
"""


def whole(topic: str, client_id: str) -> str:
    """Where the message is published."""
    return f"{topic}/{P2P}/{client_id}"


def topic_fault(topic: str, product_id: str) -> str | None:
    """What is wrong with the topic in front, as the end of a sentence; None: nothing. ``product_id``: the client's.

    What is right is heard by the client alone, unless its own product has opened a topic of that name to its devices.
    An extra rule is ``name/{product}/...`` (`libs.topics.access.fault`): where the second level could be another
    product's id, the devices of that product could hear what is none of their business. No product is called `P2P`,
    which is the second level behind a single one (`libs.topics.identity.RESERVED_IDS`).
    """
    levels = topic.split("/")
    if not is_topic(topic):
        return "is empty, begins with $ or has a wildcard"
    if levels[0] in HEADS:
        return f"begins as topics of the hub do ({levels[0] or '/'})"
    if P2P in levels:
        return f"has a level {P2P}, which ends it"
    if len(levels) not in P2P_AHEAD:
        return f"has more than {P2P_AHEAD[-1]} levels, which no device hears"
    if len(levels) > 1 and levels[1] != product_id:
        return f"has another second level than the device's product, {product_id}"
    return None


def is_client_of(client_id: str, product_id: str, device_id: str) -> bool:
    """Whether the client is that device: so nobody reaches the clients of another product through a device of his."""
    return client_id in {f"{product_id}/{device_id}", f"{product_id}@@@{device_id}"}
