"""The past of a shadow: any version of it, folded from its public log as ClickHouse has it.

What has just happened may not be stored yet. The owner's own version tells how far the log goes, so that what is
missing for a moment is never taken for something that never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.shadow.document import Unfounded, empty, fold, public
from libs.topics.messages.base import Millis
from libs.topics.messages.shadow_changes import ShadowChanged

from . import shadow_queries as queries
from .devices import read
from .presence import next_place
from .problems import Problem, busy
from .shadow import glance
from .shadow_documents import Shadow, ShadowChange, ShadowRefusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.shadow.document import Document

    from .hub import Hub
    from .queries import About, Place, Question
    from .shadow_id import ShadowId


class Newest(msgspec.Struct, frozen=True, array_like=True):
    """The newest change that is stored."""

    version: int
    at: Millis
    deleted: bool
    device_deleted: bool
    """It ends a life of the device: whatever the shadow is now comes of later changes."""


NOTHING: Final = Newest(0, 0, deleted=True, device_deleted=False)


class Past:
    """Of one shadow."""

    def __init__(self, hub: Hub, shadow: ShadowId) -> None:
        self._hub, self._shadow = hub, shadow

    async def at_version(self, version: int) -> Shadow:
        """Return a version of the present life, or of the last one where the device is registered no more.

        Raises `Problem` (``unknown_version``, ``version_not_stored_yet``, and as `Asked.ask`), `Unavailable`.
        """
        now = await self._now()
        if now is not None and now.version == version:
            return now
        if version == 0 or (now is not None and version > now.version):
            raise self._unknown(f"version {version}")
        newest = await self._newest()
        behind = newest.version < version or (now is not None and _of_another_life(now, newest))
        if behind and not _complete(now, newest):
            raise await self._not_stored_yet(f"version {version}")
        return await self._folded(queries.leading_to_version(self._shadow, version), f"version {version}")

    async def at_moment(self, at: Millis) -> Shadow:
        """Return what the shadow was at a moment. Raises as `at_version`."""
        now = await self._now()
        if now is not None and _says_something(now) and at >= now.updated_at:
            return now
        newest = await self._newest()
        if newest.at <= at and not _complete(now, newest):
            raise await self._not_stored_yet("that moment")
        return await self._folded(queries.leading_to_moment(self._shadow, at), "version at that moment")

    async def _now(self) -> Shadow | None:
        """Ask the owner; None: there is no such shadow now."""
        try:
            return await glance(self._hub, self._shadow)
        except Problem as problem:
            if problem.code == "unknown_shadow":
                return None
            raise

    async def _newest(self) -> Newest:
        rows = await self._hub.history.ask(queries.newest(self._shadow))
        return msgspec.convert(rows[0], Newest, strict=False) if rows else NOTHING

    async def _folded(self, question: Question, what: str) -> Shadow:
        rows = await self._hub.history.ask(question)
        if not rows:
            await read(self._hub, self._shadow.product_id, self._shadow.device_id)  # perhaps there is no such device
            raise self._unknown(what)
        events = [msgspec.json.decode(event, type=ShadowChanged) for event, _ in rows]
        first = max((number for number, (_, checkpoint) in enumerate(rows) if checkpoint), default=0)
        document = self._replayed(events[first:], what)
        return msgspec.convert(public(*self._shadow, document), Shadow, from_attributes=True)

    def _replayed(self, events: Sequence[ShadowChanged], what: str) -> Document:
        document: Document | None = None
        for event in events:
            try:
                document = fold(document, event)
            except Unfounded as error:
                raise self._unknown(f"{what} any more: {error}") from error
        last = events[-1]
        if document is not None:
            return document
        if self._shadow.name is not None or last.via == "registry":
            raise self._unknown(f"{what}: it was deleted with version {last.version}")
        return empty(last.at, last.version)

    async def _not_stored_yet(self, what: str) -> Problem:
        """Raises `Problem` where there is no such device: of one that is not registered nothing more is to come."""
        await read(self._hub, self._shadow.product_id, self._shadow.device_id)
        return busy("version_not_stored_yet", f"{what} is not stored yet")

    def _unknown(self, what: str) -> Problem:
        return Problem("unknown_version", f"the {self._shadow} has no {what}")


def _says_something(now: Shadow) -> bool:
    """Tell a document from the empty one that stands for none."""
    return now.desired_version > 0 or now.reported_version > 0


def _of_another_life(now: Shadow, newest: Newest) -> bool:
    """Tell whether all that is stored was before the device was deleted and registered anew."""
    return newest.device_deleted and _says_something(now)


def _complete(now: Shadow | None, newest: Newest) -> bool:
    """Tell whether every change that was made is stored.

    The version of the empty document that stands for none does not tell: deleted named shadows raise it, too.
    """
    if now is None or not _says_something(now):
        return newest.deleted
    return newest.version == now.version and not _of_another_life(now, newest)


async def page(
    hub: Hub, about: About, name: str | None, before: Place | None, limit: int
) -> tuple[list[ShadowChange | ShadowRefusal], Place | None]:
    """Return a page of a shadow's changes and refusals, the newest first, and where it ended if more follow."""
    rows = await hub.history.ask(queries.history(about, name, before, limit + 1))
    items = [msgspec.json.decode(event, type=ShadowChange | ShadowRefusal) for event, *_ in rows[:limit]]
    return items, next_place(rows, limit, 1)
