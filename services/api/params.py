"""Parts of paths, queries and headers that many calls have, with what the OpenAPI document says of them."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, PathParameter, QueryParameter

NAME: Final = r"^[A-Za-z0-9_-]{1,64}(?!\n)$"
"""To Python a line's end may follow what ``$`` ends."""
MAX_LIMIT: Final = 1000
"""Items of one page."""

ProductId: TypeAlias = Annotated[
    str,
    PathParameter(
        description="Id of the product: 1 to 64 of A-Z a-z 0-9 _ -.",
        examples=[Example(value="plant-7")],
        schema_extra={"pattern": NAME},
    ),
]
DeviceId: TypeAlias = Annotated[
    str,
    PathParameter(
        description="Id of the device within its product: 1 to 64 of A-Z a-z 0-9 _ -.",
        examples=[Example(value="press-1")],
        schema_extra={"pattern": NAME},
    ),
]
ShadowName: TypeAlias = Annotated[
    str,
    PathParameter(
        description="Name of a shadow: 1 to 64 of A-Z a-z 0-9 _ -.",
        examples=[Example(value="network")],
        schema_extra={"pattern": NAME},
    ),
]
TagName: TypeAlias = Annotated[
    str,
    PathParameter(
        description="A tag: 1 to 64 of A-Z a-z 0-9 _ -.",
        examples=[Example(value="hall-2")],
        schema_extra={"pattern": NAME},
    ),
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="Items at most.")]
Cursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(description="`next_cursor` of the page before; without it, the first page."),
]
Prefix: TypeAlias = Annotated[
    str, QueryParameter(max_length=64, description="Only ids that begin with it.", examples=[Example(value="press-")])
]
IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="Version that the document must have, as its ETag was; otherwise 409 `version_conflict`.",
        examples=[Example(value='"3"')],
    ),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match",
        description="ETag of the document that the caller has; 304 where it is still the same.",
        examples=[Example(value='"3"')],
    ),
]
Begin: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="Beginning of the time that is asked for, as Unix milliseconds or RFC 3339.",
        examples=[Example(value="2026-01-31T00:00:00Z")],
    ),
]
End: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="to",
        description="End of that time, not included; without it, now.",
        examples=[Example(value="1769904000000")],
    ),
]
