"""Versions in HTTP (``ETag``, ``If-Match``, ``If-None-Match``), and cursors of lists."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar import Response

from .problems import FieldError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

TAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')


def expected_version(if_match: str | None, in_body: int | None = None) -> int | None:
    """Return the version that the document must have; None: any.

    Raises `Problem` for an ``If-Match`` of another form, or one that contradicts ``in_body``.
    """
    if if_match is None or if_match.strip() == "*":
        return in_body
    found = TAG.fullmatch(if_match.strip())
    if found is None:
        raise _header("If-Match", 'If-Match is one ETag, such as "3"')
    version = int(found[1])
    if in_body is not None and in_body != version:
        raise _header("If-Match", "If-Match and expected_version contradict each other")
    return version


def versioned(document: T, version: int, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[T]:
    """Answer with a document and its version as ``ETag``."""
    return Response(document, status_code=status, headers={"ETag": etag(version), **(headers or {})})


def unless_same(document: T, version: int, if_none_match: str | None) -> Response[Any]:
    """Answer as `versioned`, or 304 where the caller has this version already."""
    if if_none_match is not None:
        known = {found[1] for found in TAG.finditer(if_none_match)}
        if if_none_match.strip() == "*" or str(version) in known:
            return Response(None, status_code=304, headers={"ETag": etag(version)})
    return versioned(document, version)


def etag(version: int) -> str:
    return f'"{version}"'


def next_cursor(after: str | None) -> str | None:
    """Hide the key after which the next page begins; None: there is none."""
    return None if after is None else base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def position(cursor: str | None) -> str:
    """Return the key that `next_cursor` hid; empty for the first page. Raises `Problem` ``invalid_cursor``."""
    if cursor is None:
        return ""
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise Problem("invalid_cursor", "the cursor was not made by this API") from error
    if not found or next_cursor(found) != cursor:
        raise Problem("invalid_cursor", "the cursor was not made by this API")
    return found


def _header(name: str, said: str) -> Problem:
    return Problem("invalid_header", said, errors=(FieldError(name, "header", said),))
