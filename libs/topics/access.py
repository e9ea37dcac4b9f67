"""What a device may do at the MQTT broker, as data, and whether that covers a topic. Pure.

The one list, for every broker: where the hub is asked (EMQX) `may` answers; for mosquitto the guard writes the same
rules as its access file. Nothing else is allowed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from .identity import NAME, is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .messages.registry import AclRule, ProductDefaults

Action: TypeAlias = Literal["publish", "subscribe"]
Condition: TypeAlias = Literal["device_to_device", "tag"]

REGISTER: Final = "$register"
"""In place of the device in the user name (and client id) of one that has its product's secret only."""
CREDENTIAL: Final = "credential"
"""EMQX's client attribute that says under which credential id a session was let in."""
MAX_LEVELS: Final = 16
"""Of the topic of an extra rule."""
HUB_ONLY: Final = ("fleetlog", "register", "registered")
"""First levels that no extra rule may open: what is there proves who somebody is, or tells secrets."""


class Rule(msgspec.Struct, frozen=True):
    """What a device may publish, or subscribe to."""

    action: Action
    topic: str
    """A topic filter in which ``{product}``, ``{device}`` and ``{tag}`` stand for names."""
    when: Condition | None = None
    """``device_to_device``: where the product says so; ``tag``: once for each of the device's tags."""


UPLINK: Final = (
    Rule("publish", "upload_data/{product}/{device}/+/+"),
    Rule("publish", "update_status/{product}/{device}/+"),
    Rule("publish", "cmd_resp/{product}/{device}/+/+/+"),
    Rule("publish", "rpc_resp/{product}/{device}/+/+/+"),
    Rule("publish", "get/{product}/{device}/+/+"),
    Rule("publish", "m2m/{product}/+/{device}/+", "device_to_device"),
    Rule("publish", "update_ota_status/{product}/{device}/+"),
    Rule("publish", "/shadow/{product}/{device}/update"),
    Rule("publish", "/shadow/update/{product}/{device}"),
    Rule("publish", "/sys/{product}/{device}/rrpc/response/+"),
)
DOWNLINK: Final = (
    Rule("subscribe", "cmd/{product}/{device}/+/+/+/#"),
    Rule("subscribe", "rpc/{product}/{device}/+/+/+/#"),
    Rule("subscribe", "tags/{product}/{tag}/cmd/+/+/+/#", "tag"),
    Rule("subscribe", "m2m/{product}/{device}/+/+", "device_to_device"),
    Rule("subscribe", "/shadow/{product}/{device}/get"),
    Rule("subscribe", "/shadow/get/{product}/{device}"),
    Rule("subscribe", "/sys/{product}/{device}/rrpc/request/+"),
    Rule("subscribe", "+/p2p/{product}/{device}"),
    Rule("subscribe", "+/+/p2p/{product}/{device}"),
    Rule("subscribe", "+/+/+/p2p/{product}/{device}"),
    Rule("subscribe", "+/+/+/+/p2p/{product}/{device}"),
)
DEVICE: Final = (*UPLINK, *DOWNLINK)
"""Of every device."""
JOINING: Final = (
    Rule("publish", "register/{product}/+/+"),
    Rule("subscribe", "registered/{product}/+/+"),
)
"""Of the user ``{product}/$register``. Where the broker asks, its subscriptions must name whole topics: `may_join`."""

P2P: Final = "p2p"
"""The level before the client id in ``{topic}/p2p/{client id}``. Only the hub publishes there: `p2p_of`."""
P2P_AHEAD: Final = range(1, 5)
"""How many levels stand before it in the rules of `DOWNLINK`."""

_ANY = "\0"
"""A level that is like no other: no topic holds this character, so only a wildcard matches it."""
_FILTER = re.compile(r"(?!\$|\Z)(?:(?:\+|[^/+#\0]*)/)*(?:\+|#|[^/+#\0]*)")
_LEVEL = r"(?:\{device\}|\{product\}|[A-Za-z0-9_$.:-]+)"
_EXTRA = re.compile(rf"(?!(?:{'|'.join(HUB_ONLY)})/){NAME.pattern}/\{{product\}}(?:/(?:\+|{_LEVEL}))*(?:/\#)?")


def rules(tags: Iterable[str], defaults: ProductDefaults) -> Iterator[Rule | AclRule]:
    """Yield what holds for a device with these tags of a product with these defaults; only ``{tag}`` is filled in."""
    for rule in DEVICE:
        if rule.when == "tag":
            yield from (Rule(rule.action, rule.topic.replace("{tag}", tag)) for tag in tags)
        elif rule.when is None or defaults.device_to_device:
            yield rule
    yield from defaults.acl


def filled(topic: str, product_id: str, device_id: str) -> str:
    """Return the topic of a rule with the names of a device in it."""
    return topic.replace("{product}", product_id).replace("{device}", device_id)


def may(
    action: Action, topic: str, product_id: str, device_id: str, *, tags: Iterable[str], defaults: ProductDefaults
) -> bool:
    """Whether a device may publish to a topic, or subscribe to a filter: to all that it matches."""
    allowed = [
        filled(rule.topic, product_id, device_id).split("/") for rule in rules(tags, defaults) if rule.action == action
    ]
    if action == "publish":
        levels = topic.split("/")
        return is_topic(topic) and levels[-3:-2] != [P2P] and _any_matches(allowed, levels)
    return is_filter(topic) and includes(allowed, topic.split("/"))


def p2p_of(rule: Rule | AclRule) -> Iterator[str]:
    """Yield filters of what a rule would let a device publish to the client ids of others, of any product.

    ``cmd_resp/p/d/+/+/+`` covers ``cmd_resp/p/d/p2p/q/e``, which the device ``q/e`` may read. Brokers that hold a list
    of rules must deny these first.
    """
    if rule.action != "publish":
        return
    levels = rule.topic.split("/")
    for ahead in P2P_AHEAD:
        missing = ahead + 3 - len(levels)
        same = [*levels[:-1], *["+"] * (missing + 1)] if levels[-1] == "#" else levels
        if len(same) == ahead + 3 and same[ahead] in {"+", P2P}:
            yield "/".join([*same[:ahead], P2P, *same[ahead + 1 :]])


def may_join(action: Action, topic: str, product_id: str) -> bool:
    """Whether a device that has only its product's secret may: ask for its own secret, and wait for that one answer.

    A filter with wildcards would show it the secrets of others.
    """
    head = next(rule.topic for rule in JOINING if rule.action == action)
    return is_topic(topic) and _matches(filled(head, product_id, "").split("/"), topic.split("/"))


def joining_product(username: str) -> str | None:
    """Return the product of a device that joins with its product's secret, by its user name; None: it is no such."""
    product_id, slash, rest = username.partition("/")
    return product_id if slash and rest == REGISTER and is_name(product_id) else None


def is_topic(text: str) -> bool:
    """Whether one may publish to it at all: no wildcards, and nothing that is the broker's own, as ``$SYS`` is."""
    return bool(text) and not text.startswith("$") and not any(character in text for character in "+#\0")


def is_filter(text: str) -> bool:
    """Whether it is a topic filter; one that begins with ``$`` is the broker's own, ``$share/...`` included."""
    return _FILTER.fullmatch(text) is not None


def includes(allowed: Sequence[Sequence[str]], wanted: Sequence[str]) -> bool:
    """Whether every topic that the filter ``wanted`` matches is matched by one of ``allowed``; all cut into levels.

    A level that no filter names stands for all that ``+`` matches: what covers it covers any other. So it is enough to
    look at one topic of each depth, down to one more than ``allowed`` tell apart.
    """
    fixed = [_ANY if level == "+" else level for level in wanted if level != "#"]
    if len(fixed) == len(wanted):
        return _any_matches(allowed, fixed)
    deepest = max(map(len, allowed), default=0)
    shallowest = max(len(fixed), 1)  # there is no topic without a level
    return all(
        _any_matches(allowed, [*fixed, *[_ANY] * (depth - len(fixed))])
        for depth in range(shallowest, max(shallowest, deepest) + 2)
    )


def fault(rule: AclRule) -> str | None:
    """What is wrong with an extra rule of a product, as the end of a sentence; None: nothing.

    The product's name must stand where it stands in every topic of the hub: then no rule reaches into another product.
    The alphabet is that of mosquitto's access file: nothing in a topic can end its line.
    """
    if rule.topic.count("/") >= MAX_LEVELS:
        return f"has more than {MAX_LEVELS} levels"
    if _EXTRA.fullmatch(rule.topic) is None:
        heads = ", ".join(HUB_ONLY)
        return (
            "must be <name>/{product}/... of levels that are {device}, +, or of A-Z a-z 0-9 _ $ . : - only, with # as "
            f"the last one at most; the name must be none of {heads}"
        )
    return None


def _any_matches(allowed: Iterable[Sequence[str]], topic: Sequence[str]) -> bool:
    return any(_matches(pattern, topic) for pattern in allowed)


def _matches(pattern: Sequence[str], topic: Sequence[str]) -> bool:
    """Whether a filter matches a topic that does not begin with ``$``; ``a/#`` matches ``a`` too."""
    for at, level in enumerate(pattern):
        if level == "#":
            return True
        if at >= len(topic) or level not in {"+", topic[at]}:
            return False
    return len(pattern) == len(topic)
