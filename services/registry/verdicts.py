"""The registry's refusals, each with its stable code, a sentence and advice. Pure."""

from __future__ import annotations

from typing import Any, Final

from libs.runtime.lane.verdicts import Refused

DONE: Final = 200
CREATED: Final = 201
GONE: Final = 204
"""What it was about is deleted, and the answer shows nothing."""
CONFLICT: Final = 409


def conflict(what: str, current: Any, version: int) -> Refused:
    detail = f"{what} changed meanwhile: its version is {version}"
    return Refused(409, "version_conflict", detail, "Look at the current document, and decide anew.", current)


def unknown_product(product_id: str) -> Refused:
    return Refused(404, "unknown_product", f"there is no product {product_id}", "Create the product first.")


def unknown_key(key_id: str) -> Refused:
    return Refused(404, "unknown_key", f"there is no API key {key_id}", "Look at the list of keys.")


def product_closing(product_id: str) -> Refused:
    detail = f"product {product_id} is being deleted"
    return Refused(409, "product_closing", detail, "Ask again in a moment: it is then gone, or open again.")


def product_has_devices(product_id: str, devices: int) -> Refused:
    detail = f"product {product_id} has {devices} devices"
    return Refused(409, "product_has_devices", detail, "Delete its devices first.")


def product_busy(product_id: str, waiters: int) -> Refused:
    detail = f"{waiters} requests wait already until every partition has taken product {product_id}"
    return Refused(429, "product_busy", detail, "Wait for their answers, then ask again.")
