"""What a handler says of itself for the OpenAPI document, beyond what its signature says."""

from __future__ import annotations

from typing import Any, Final

import msgspec

KEY: Final = "described"
"""Option of a handler that holds its `Described`."""


class Described(msgspec.Struct, frozen=True):
    problems: tuple[str, ...] = ()
    """Codes that it may answer with, besides those of every call."""
    request: Any = None
    """Example of the body."""
    answer: Any = None
    """Example of the answer."""
    accepted: bool = False
    """202 has the same body: what is asked for is not done to its end."""
    versioned: bool = False
    """The answer has an ``ETag``."""
    located: bool = False
    """The answer has a ``Location``."""
    idempotent: bool = True
    """An unsafe call takes ``Idempotency-Key``."""
    security: tuple[str, ...] = ()
    """Names of `openapi.SCHEMES`: what is shown in the place of an API key, or beside one."""
    raw: bool = False
    """The body is any bytes."""
    also: tuple[int, ...] = ()
    """Further statuses without a body, such as 304."""


def described(**parts: Any) -> dict[str, Any]:
    """Make the options of a handler: ``opt=described(problems=(...), answer=...)``."""
    return {KEY: Described(**parts)}
