"""The text of mosquitto's password and access files. Pure: the same roll is the same text.

mosquitto keeps the blocks of single users in a list that it walks for every line it reads and for every client that
connects. So whatever all devices may do is written once, as patterns in which ``%u`` is the user name,
``product/device``; a block gets only who may do more, or less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.topics.access import DEVICE, JOINING, REGISTER, Action, filled, p2p_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from libs.topics.access import Rule
    from libs.topics.messages.registry import AclRule

    from .model import Login, Roll

_ACCESS: Final[Mapping[Action, str]] = {"publish": "write", "subscribe": "read"}
PATTERNS: Final = tuple(
    f"{_ACCESS[rule.action]} {rule.topic.replace('{product}/{device}', '%u')}" for rule in DEVICE if rule.when is None
)
"""What every device may do. mosquitto grants every SUBSCRIBE and checks ``read`` when it delivers. Rules for tags are
not among them: a looser pattern would show a device the commands of others, so commands go to each device."""

DENIED: Final = tuple(
    topic.replace("{product}/{device}", "%u") for rule in DEVICE if rule.when is None for topic in p2p_of(rule)
)
"""What the patterns would grant, but is others' to read. mosquitto looks at denials first."""

HEADER: Final = """\
# Written by fleetlog's guard from registry.devices and registry.products; changes made here do not last.
# %u is a user name, product/device.
"""


def passwords(logins: Iterable[Login]) -> bytes:
    """One line for each user, sorted."""
    return "".join(sorted(f"{login.user}:{login.hash}\n" for login in logins)).encode()


def users(text: bytes) -> set[str]:
    """Whom a password file lets in; what is not one of our lines is passed over."""
    lines = (line.partition(b":") for line in text.splitlines())
    return {user.decode("utf-8", "replace") for user, colon, _ in lines if colon}


def access(roll: Roll) -> tuple[bytes, int]:
    """Return the text and the number of blocks for single users in it."""
    denied = "".join(f"pattern deny {topic}\n" for topic in DENIED)
    patterns = denied + "".join(f"pattern {pattern}\n" for pattern in PATTERNS)
    blocks = sorted((*_device_blocks(roll), *_self_registration_blocks(roll)))
    return "\n".join((HEADER + patterns, *blocks)).encode(), len(blocks)


def _device_blocks(roll: Roll) -> Iterator[str]:
    for product_id, device_ids, rules in roll.with_rules():
        for device_id in device_ids:
            others = (filled(topic, product_id, device_id) for rule in rules for topic in p2p_of(rule))
            denied = (f"topic deny {topic}\n" for topic in dict.fromkeys(others))
            lines = (f"topic {_line(rule, product_id, device_id)}\n" for rule in rules)
            yield f"user {product_id}/{device_id}\n{''.join((*denied, *lines))}"


def _self_registration_blocks(roll: Roll) -> Iterator[str]:
    """May ask to be registered and nothing else: what the patterns give to every user is denied, and denials win."""
    for product_id, product in roll.products.items():
        if product.login is not None:
            user = product.login.user
            denied = "".join(f"topic deny {pattern.partition(' ')[2].replace('%u', user)}\n" for pattern in PATTERNS)
            granted = "".join(f"topic {_line(rule, product_id, REGISTER)}\n" for rule in JOINING)
            yield f"user {user}\n{denied}{granted}"


def _line(rule: Rule | AclRule, product_id: str, device_id: str) -> str:
    return f"{_ACCESS[rule.action]} {filled(rule.topic, product_id, device_id)}"
