"""Pages of a listing: documents of a worker's own partitions in the order of their keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import View
    from .reads import Reads

LIMIT: Final = 1000
"""Documents of one page."""
TURN: Final = 100
"""Rows shown without yielding to the event loop, which folds events too."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a request for a page."""

    term: Annotated[str, Meta(pattern="^[^:]+:")]
    """What the keys are listed under: ``name:value``."""
    prefix: str = ""
    """Of the keys."""
    after: str = ""
    """The key behind which the page begins: the last one of the page before."""
    limit: Annotated[int, Meta(ge=1, le=LIMIT)] = 100
    partitions: Annotated[str, Meta(pattern=r"^[0-9]+(,[0-9]+)*$")] | None = None
    """Numbers; absent: all that are served here."""


class Item(msgspec.Struct, frozen=True):
    key: str
    document: Any


class Page(msgspec.Struct, frozen=True):
    """The answer: of these partitions together the first documents, in key order; fewer than the limit are the last."""

    partitions: list[int]
    """Those of the wanted ones that are served here; another worker has the others."""
    items: list[Item]


async def page(reads: Reads, view: View, wanted: Wanted, served: Callable[[], frozenset[int]]) -> Page:
    """Make a page of what ``served()`` and wanted. Where one of the partitions moves meanwhile, it tells of none.

    Rows of which the view shows nothing are left out. Of two pages made one after the other, a key that is listed
    all the time is in exactly one.
    """
    name, _, value = wanted.term.partition(":")
    term, prefix, after = (name, value), wanted.prefix.encode(), wanted.after.encode()
    numbers = served()
    if wanted.partitions is not None:
        numbers &= {int(number) for number in wanted.partitions.split(",")}
    items: list[Item] = []
    while len(items) < wanted.limit:
        keys = reads.page(numbers, term, prefix, after, min(TURN, wanted.limit - len(items)))
        if not keys:
            break
        shown = ((key, reads.show(view, key)) for key in keys)
        items += [Item(key.decode(), document) for key, document in shown if document is not None]
        after = keys[-1]
        await asyncio.sleep(0)
        if not numbers <= served():
            return Page([], [])
    return Page(sorted(numbers), items)
