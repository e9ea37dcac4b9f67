"""What names look like. Pure."""

from __future__ import annotations

import re
from typing import Final

from .errors import InvalidName, ReservedName

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Product and device ids, tags, command names, resources, data types, request ids and message ids."""
VERBS: Final = frozenset({"update", "get"})
"""Not product or device ids: they are levels of the shadow topics."""


def check(name: str, what: str) -> str:
    """The name itself. Raises `ReservedName` and `InvalidName`, which say ``what`` it should have named."""
    if name.startswith("$"):
        raise ReservedName(f"{name!r} is no {what} for applications: names with $ are the hub's own")
    if NAME.fullmatch(name) is None:
        raise InvalidName(f"{name!r} is no {what}: use 1 to 64 of A-Z a-z 0-9 _ -")
    return name


def check_client_id(client_id: str) -> str:
    """It enters a topic filter. Raises `InvalidName`."""
    if not client_id or set(client_id) & set("+#\0"):
        raise InvalidName(f"{client_id!r} is no client id: it must not be empty or have + # or NUL in it")
    return client_id


def check_identity(product: str, device: str) -> tuple[str, str]:
    """Both ids of a device. Raises `InvalidName`."""
    for name, what in ((product, "product id"), (device, "device id")):
        if check(name, what) in VERBS:
            raise ReservedName(f"{name!r} is no {what}: it is a level of the shadow topics")
    return product, device
