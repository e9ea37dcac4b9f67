"""Bodies of requests: of the right media type, and exactly what the call takes.

The framework converts leniently, as query parameters need it: it would take "5" for 5. JSON says what it means, so a
body is held against its type strictly, before anything else is done with it.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .problems import FieldError, Problem

if TYPE_CHECKING:
    from litestar import Request

JSON: Final = ("application/json", "application/merge-patch+json")
CONSUMES: Final = "consumes"
"""Option of a route that takes other media types than `JSON`: a tuple of them. It checks its bodies itself."""
ANYTHING: Final = "*/*"
"""In such a tuple: the media type says nothing about the body, and need not be given."""
LEVELS: Final = 64
"""Objects and arrays within each other: with some hundreds more, one stack of the hub holds a value and another not."""
NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
STEPS: Final = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""One level down, or one up: +1 and -1 as signed bytes."""
WHERE: Final = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
"""How msgspec tells what is wrong, and where."""


async def check(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that the route does not take. Raises `Problem`."""
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    body = await request.body()
    allowed: tuple[str, ...] = request.route_handler.opt.get(CONSUMES, JSON)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and ANYTHING not in allowed and given not in allowed:
        raise Problem("unsupported_media_type", f"this call takes {' or '.join(allowed)}, not {given or 'nothing'}")
    field = request.route_handler.parsed_data_field
    if field is None or allowed is not JSON or (not body and field.has_default):
        return
    try:
        _decoder(field.annotation).decode(body)
    except msgspec.ValidationError as error:
        raise Problem("invalid_request", "the request does not fit", errors=(_told(error),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_body", f"the body is no JSON: {error}" if body else "the call needs a body") from error
    if deeper(body, LEVELS):
        said = f"the body has more than {LEVELS} objects and arrays within each other"
        raise Problem("invalid_request", said, errors=(FieldError("", "body", said),))


def deeper(body: bytes, levels: int) -> bool:
    """Tell whether valid JSON has more levels of objects and arrays."""
    if body.count(b"{") + body.count(b"[") <= levels:
        return False
    texts_left_out = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    steps = b"".join(texts_left_out).translate(STEPS, NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > levels


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _told(error: msgspec.ValidationError) -> FieldError:
    found = WHERE.fullmatch(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), None)
    return FieldError(path or "", "body", what)
