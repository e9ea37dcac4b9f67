"""What the calls about a device's own shadow and those about its named ones share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from . import shadow, waiting
from .conditions import versioned
from .gate import ended_after
from .moments import moment, unfit
from .shadow_past import Past

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from litestar import Response

    from libs.topics.messages.shadow_changes import ChangeDesired

    from .asking import Asker
    from .hub import Hub
    from .shadow_documents import Shadow
    from .shadow_id import ShadowId

ABOUT: Final = ("unknown_product", "unknown_device", "invalid_request")
"""Codes of every call about a shadow."""
CHANGING: Final = ("unknown_product", "unknown_device", "version_conflict", "invalid_header")
TOO_MUCH: Final = ("document_too_deep", "document_too_large", "shadows_too_large")
"""Codes of calls that make a shadow larger."""

MOST_VERSIONS: Final = (1 << 53) - 1
"""More than any shadow will have, and what every JSON parser can hold."""
Version: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=MOST_VERSIONS, description="That version, and not the present one.", examples=[Example(value=3)]
    ),
]
At: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="at",
        description="As it was at that moment, as Unix milliseconds or RFC 3339.",
        examples=[Example(value="2026-01-31T12:00:00Z")],
    ),
]
Wait: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^([1-9]|[12][0-9]|30)s(?!\n)$",
        description="Seconds that the answer may wait for the device, 30 at most: `10s`.",
        examples=[Example(value="10s")],
    ),
]


def read(hub: Hub, shadow_id: ShadowId, version: int | None, at: str | None) -> Awaitable[Shadow]:
    """Read what the query asks for. Raises `Problem` ``invalid_request``, and as `current` or `Past`."""
    if version is not None and at is not None:
        raise unfit("at", "either a version or a moment can be asked for")
    if version is not None:
        return Past(hub, shadow_id).at_version(version)
    if at is not None:
        return Past(hub, shadow_id).at_moment(moment(at, "at"))
    return shadow.current(hub, shadow_id)


async def changed(asker: Asker, asked: ChangeDesired) -> Response[Shadow]:
    """Change a shadow, and answer with it."""
    found = await shadow.change(asker, asked)
    return versioned(found, found.version)


async def merged(asker: Asker, asked: ChangeDesired, patch: dict[str, Any], wait: str | None) -> Response[Shadow]:
    """As `changed`, where the answer may wait for the device. Raises `Problem` ``deadline_exceeded``."""
    seconds = 0 if wait is None else int(wait.removesuffix("s"))
    async with ended_after(asker.hub.settings.http.deadline_s + seconds):
        if not seconds:
            return await changed(asker, asked)
        found, converged = await waiting.change(asker, asked, patch, seconds)
        return versioned(found, found.version, 200 if converged else 202)
