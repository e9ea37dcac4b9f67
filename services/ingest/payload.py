"""A device's bytes inside a JSON envelope: verbatim where they are JSON, else base64."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from libs.topics.messages.base import Encoding

NESTING = 64
"""Brackets in a payload from which its depth is checked."""
ROOM = 400
"""Levels of nesting that stay free for readers. A decoder's limit counts the reader's own call stack, so what can
just be read here may be too deep there."""

_check = msgspec.json.Decoder(Raw).decode


def embed(payload: bytes) -> tuple[Encoding, Raw]:
    """How ``payload`` stands in an envelope.

    Verbatim means byte for byte, white space around it included. A number such as ``1e999`` is valid JSON and passes:
    readers that want floats must be ready for it.
    """
    try:
        _check(payload)  # all of RFC 8259 but the UTF-8 inside strings
        if not payload.isascii():
            payload.decode()
        if len(payload) > NESTING and payload.count(b"[") + payload.count(b"{") > NESTING:
            _check(b"[" * ROOM + payload + b"]" * ROOM)
    except (ValueError, RecursionError):
        return "base64", Raw(b'"' + base64.b64encode(payload) + b'"')
    return "json", Raw(payload)
