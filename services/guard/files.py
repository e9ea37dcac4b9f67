"""The text of mosquitto's password and access files. Pure: the same roll is the same text.

mosquitto keeps the blocks of single users in a list that it walks for every line it reads and for every client that
connects. So whatever all devices may do is written once, as patterns in which ``%u`` is the user name,
``product/device``; a block gets only who may do more, or less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Login, Roll

PATTERNS: Final = (
    "write upload_data/%u/+/+",
    "write update_status/%u/+",
    "write cmd_resp/%u/+/+/+",
    "write rpc_resp/%u/+/+/+",
    "write get/%u/+/+",
    "write update_ota_status/%u/+",
    "write /shadow/%u/update",
    "write /shadow/update/%u",
    "write /sys/%u/rrpc/response/+",
    "read cmd/%u/+/+/+/#",
    "read rpc/%u/+/+/+/#",
    "read m2m/%u/+/+",
    "read /shadow/%u/get",
    "read /shadow/get/%u",
    "read /sys/%u/rrpc/request/+",
    "read +/p2p/%u",
    "read +/+/p2p/%u",
    "read +/+/+/p2p/%u",
    "read +/+/+/+/p2p/%u",
)
"""What every device may do. mosquitto grants every SUBSCRIBE and checks ``read`` when it delivers."""

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
    patterns = "".join(f"pattern {pattern}\n" for pattern in PATTERNS)
    blocks = sorted((*_device_blocks(roll), *_self_registration_blocks(roll)))
    return "\n".join((HEADER + patterns, *blocks)).encode(), len(blocks)


def _device_blocks(roll: Roll) -> Iterable[str]:
    for product_id, device_ids, rules in roll.with_rules():
        for device_id in device_ids:
            lines = (
                f"topic {rule.access} {rule.topic.replace('{product}', product_id).replace('{device}', device_id)}\n"
                for rule in rules
            )
            yield f"user {product_id}/{device_id}\n{''.join(lines)}"


def _self_registration_blocks(roll: Roll) -> Iterable[str]:
    """May only ask to be registered: what the patterns give to everybody is denied, and denials are looked at first."""
    for product_id, product in roll.products.items():
        if product.login is not None:
            user = product.login.user
            denied = "".join(f"topic deny {pattern.partition(' ')[2].replace('%u', user)}\n" for pattern in PATTERNS)
            yield (
                f"user {user}\n{denied}topic write register/{product_id}/+/+\ntopic read registered/{product_id}/+/+\n"
            )


