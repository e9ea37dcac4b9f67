"""Payloads of commands and messages as callers give them, as messages carry them. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.payload import embed

from .problems import FieldError, Problem

if TYPE_CHECKING:
    from libs.topics.messages.base import Encoding

    from .command_documents import Given

MOST: Final = 64 * 1024
"""Bytes of one payload: what the owner of a device's commands takes."""


class _Written(msgspec.Struct):
    payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


def carried(given: Given, body: bytes) -> tuple[Encoding, msgspec.Raw]:
    """Return how a message carries it: JSON byte for byte as it is written in ``body``, else base64.

    Raises `Problem`: ``invalid_request`` for both at once and for what is no base64, ``malformed_body`` for JSON that
    is not in UTF-8, ``payload_too_large``.
    """
    json = bytes(msgspec.json.decode(body, type=_Written).payload)
    if given.payload_base64 is None:
        content = json
    elif json:
        raise _unfit("payload_base64", "give payload or payload_base64, not both")
    else:
        try:
            content = base64.b64decode(given.payload_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _unfit("payload_base64", f"it is not base64: {error}") from error
    if len(content) > MOST:
        raise Problem("payload_too_large", f"the payload has {len(content)} bytes, and may have {MOST}")
    if json:
        encoding, payload = embed(json)
        if encoding != "json":
            raise Problem("malformed_body", "the payload is not in UTF-8")
        return encoding, payload
    return "base64", msgspec.Raw(b'"' + base64.b64encode(content) + b'"')


def _unfit(field: str, said: str) -> Problem:
    return Problem("invalid_request", f"{field}: {said}", errors=(FieldError(field, "body", said),))
