"""What `decide` may say, other than what happens: refusals, each with its stable code, a sentence and advice. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from libs.runtime.lane.memory import Answered

DONE: Final = 200
CREATED: Final = 201
GONE: Final = 204
"""What it was about is deleted, and the answer shows nothing."""
CONFLICT: Final = 409


class Refused(msgspec.Struct, frozen=True):
    """Nothing changes."""

    status: int
    """Of HTTP."""
    code: str
    detail: str
    advice: str
    current: Any = None
    """With a conflict: what is there."""
    malformed: bool = False
    """The API lets no such request through: where nobody waits for the answer, it becomes a dead letter."""


class Again(msgspec.Struct, frozen=True):
    """The request was carried out before, under the same idempotency key."""

    answered: Answered


def malformed(code: str, detail: str, advice: str) -> Refused:
    return Refused(400, code, detail, advice, malformed=True)


def conflict(what: str, current: Any, version: int) -> Refused:
    detail = f"{what} changed meanwhile: its version is {version}"
    return Refused(409, "version_conflict", detail, "Look at the current document, and decide anew.", current)


def unknown_product(product_id: str) -> Refused:
    return Refused(404, "unknown_product", f"there is no product {product_id}", "Create the product first.")


def unknown_device(product_id: str, device_id: str) -> Refused:
    detail = f"there is no device {product_id}/{device_id}"
    return Refused(404, "unknown_device", detail, "Register the device first.")


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


def key_reused(key: str) -> Refused:
    detail = f"the idempotency key {key} was used for another request"
    return Refused(422, "idempotency_key_reused", detail, "Use a new key for each new request.")
