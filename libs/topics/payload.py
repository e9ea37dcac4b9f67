"""A device's bytes inside a JSON envelope: verbatim where they are JSON, else base64. Pure."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from .messages.base import Encoding

MAX_DEPTH = 64
"""Levels of nesting. A decoder's own limit counts its caller's stack: what can be read here may be too deep there."""

_SHALLOW = 2 * MAX_DEPTH + 1
"""A JSON text of so many bytes has not enough brackets to be too deep."""
_check = msgspec.json.Decoder(Raw).decode
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def embed(payload: bytes) -> tuple[Encoding, Raw]:
    """How ``payload`` stands in an envelope.

    Verbatim means byte for byte, white space around it included, which a decoder of the envelope leaves out. A number
    such as ``1e999`` is valid JSON and passes: readers that want floats must be ready for it.
    """
    try:
        _check(payload)  # all of RFC 8259 but the UTF-8 inside strings
        if not payload.isascii():
            payload.decode()
        verbatim = len(payload) <= _SHALLOW or _is_shallow(payload)
    except (ValueError, RecursionError):
        verbatim = False
    return ("json", Raw(payload)) if verbatim else ("base64", Raw(b'"' + base64.b64encode(payload) + b'"'))


def _is_shallow(payload: bytes) -> bool:
    """Whether a JSON text has at most `MAX_DEPTH` levels: each round takes the innermost brackets away."""
    if len(payload.translate(None, _NO_BRACKETS)) < _SHALLOW:
        return True
    brackets = _STRING.sub(b"", payload).translate(_ALIKE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return not brackets
