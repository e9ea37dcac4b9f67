"""What the dialects have in common on the wire: JSON in, documents in seconds out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from libs.shadow.document import Document
    from libs.shadow.trees import Times, Tree
    from libs.topics.messages.base import Encoding, Millis

_decode: Final = msgspec.json.Decoder().decode
_encode_row: Final = msgspec.msgpack.Encoder().encode

SMALLEST, LARGEST = -(2**63), 2**63 - 1
"""Versions that a device may name: what a column of 64 bits can hold."""

INVALID_JSON: Final = "invalid_json"


class Garbage(ValueError):
    """A device's message is not what its dialect wants; the sentence says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def content(encoding: Encoding, payload: msgspec.Raw) -> dict[str, Any]:
    """Return the JSON object that a device sent.

    Raises `Garbage` with `INVALID_JSON`: it is no JSON object, or no row could hold it (half of a surrogate pair, a
    number beyond a double, an integer beyond 64 bits), or is nested so deeply that ingest did not take it for JSON.
    """
    if encoding != "json":
        raise Garbage(INVALID_JSON, "the payload is not JSON, or has more than 64 levels")
    try:
        found = _decode(payload)
        _encode_row(found)
    except (ValueError, OverflowError) as error:
        raise Garbage(INVALID_JSON, f"the payload cannot be read as JSON: {error}") from error
    if found.__class__ is not dict:
        raise Garbage(INVALID_JSON, "the payload is not a JSON object")
    return found


def whole_number(value: Any) -> int | None:
    """Return the version that a device named; None: it is none.

    1.0 is one, for clients whose only numbers are doubles; true is none.
    """
    if value.__class__ is float and value.is_integer():
        value = int(value)
    return value if value.__class__ is int and SMALLEST <= value <= LARGEST else None


def seconds(at: Millis) -> int:
    return at // 1000


def untold(document: Document) -> bool:
    """Whether nobody ever changed it: a shadow that does not exist, or does not any more."""
    return not (document.desired_version or document.reported_version)


def sections(document: Document) -> dict[str, Any]:
    """Return ``state`` and ``metadata``; an empty section is left out."""
    return {
        "state": _present(document.reported, document.desired),
        "metadata": _present(_stamped(document.reported_at), _stamped(document.desired_at)),
    }


def _present(reported: Tree, desired: Tree) -> dict[str, Tree]:
    found = {}
    if reported:
        found["reported"] = reported
    if desired:
        found["desired"] = desired
    return found


def _stamped(times: Times) -> Tree:
    return {
        key: _stamped(value) if value.__class__ is dict else {"timestamp": seconds(value)}
        for key, value in times.items()
    }
