"""Who a device is, in topics, keys and user names.

A device is ``(product_id, device_id)``. Every name that enters an MQTT topic, an ACL pattern or a Kafka key is
restricted to `NAME`, since ``/ + #``, spaces and control characters in one are attacks on the others.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What product ids, device ids, tags, command names, data types, request ids and message ids look like."""

RESERVED_IDS = frozenset({"get", "p2p", "update"})
"""No product or device has one of these ids.

``/shadow/update/x/update`` and ``/shadow/get/...`` would be of two, and what a device called ``p2p`` publishes would
look like ``{any}/p2p/{client id}``, which is another's to read.
"""

RESERVED = b"\x00"
"""First byte of keys that are the hub's own: a device's key can never begin with it."""

BROADCAST_KEY = RESERVED + b"broadcast"
"""Key of a record that addresses a whole partition of an inbox; written once per partition, by number."""


class InvalidName(ValueError):
    """A name that is not allowed. ``code`` is stable: ``invalid_name``."""

    code = "invalid_name"


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def device_key(product_id: str, device_id: str) -> bytes:
    """Kafka key of everything about a device, and its MQTT user name: ``b"{product}/{device}"``.

    Raises `InvalidName`.
    """
    return f"{_name(product_id)}/{_name(device_id)}".encode()


def product_key(product_id: str) -> bytes:
    """Kafka key of a product's own changes: its id. Raises `InvalidName`."""
    return _name(product_id).encode()


def api_key_key(key_id: str) -> bytes:
    """Kafka key of everything about an API key: ``b"key:{id}"``, which is no product's. Raises `InvalidName`."""
    return f"key:{_name(key_id)}".encode()


def split_key(key: bytes) -> tuple[str, str]:
    """(product id, device id) of a key. Raises `InvalidName`."""
    product_id, slash, device_id = key.decode("utf-8", "backslashreplace").partition("/")
    if not slash or not is_name(product_id) or not is_name(device_id):
        raise InvalidName(f"{key!r} is not a device key: it must be product/device")
    return product_id, device_id


def _name(text: str) -> str:
    if not is_name(text):
        raise InvalidName(f"{text!r} is not a name: use 1 to 64 of A-Z a-z 0-9 _ -")
    return text
