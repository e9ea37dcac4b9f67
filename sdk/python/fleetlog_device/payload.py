"""Payloads: what an application says as bytes, and what came as a value. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .topics import Encoding

Payload: TypeAlias = "bytes | str | Mapping[str, Any] | list[Any] | int | float | bool | None"
"""Bytes go as they are, text as UTF-8, None as nothing, everything else as JSON."""


class BadPayload(ValueError):
    """It is not what its encoding, or its kind, says."""


def to_bytes(value: Payload) -> bytes:
    """Raises `TypeError` and `ValueError` on what JSON cannot say; NaN and infinities are not JSON."""
    match value:
        case None:
            return b""
        case bytes():
            return value
        case str():
            return value.encode()
        case _:
            return to_json(value)


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decoded(payload: bytes, encoding: Encoding) -> bytes:
    """What a command carries. Raises `BadPayload`."""
    if encoding == "plain":
        return payload
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise BadPayload(f"the payload is not base64: {error}") from error


def to_object(payload: bytes) -> dict[str, Any]:
    """A JSON object. Raises `BadPayload`."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadPayload(f"the payload is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadPayload("the payload is not a JSON object")
    return value


def integer(value: object, what: str) -> int:
    """Raises `BadPayload`; true and false are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadPayload(f"{what} is not a whole number")
    return value
