"""A change of a shadow that waits until the device is so: no asking again and again, the hub's own log tells."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.owners.reads import Unavailable
from libs.topics.messages.shadow_changes import ShadowChanged
from libs.topics.names import SHADOW_EVENTS

from . import shadow
from .convergence import Convergence
from .problems import Problem
from .shadow_id import ShadowId

if TYPE_CHECKING:
    from libs.shadow.trees import Tree
    from libs.topics.messages.shadow_changes import ChangeDesired

    from .asking import Asker
    from .frames import Record
    from .hub import Hub
    from .shadow_documents import Shadow

CHANGED: Final = "shadow_changed"


async def change(asker: Asker, asked: ChangeDesired, patch: Tree, seconds: float) -> tuple[Shadow, bool]:
    """Change a shadow, and wait until what ``patch`` set is reported, ``seconds`` at most.

    Returns the document as it is then, or as the change made it where that cannot be told, and whether it is known to
    have converged. Raises as `shadow.change` and `Streams.hearing`.
    The device is listened to before the change is asked for, so that nothing is missed in between.
    """
    hub = asker.hub
    hearing = hub.streams.hearing(SHADOW_EVENTS, asked.product_id, asked.device_id, stopping=hub.stopping)
    async with hearing as heard:
        made = await shadow.change(asker, asked)
        convergence = Convergence(patch, made)
        if asker.idempotency is not None:  # this may be the answer to the first attempt, and long ago
            convergence.begin(await _now(hub, asked) or made)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while convergence.verdict() == "pending" and (record := await heard.get()) is not None:
                    event = _event(record, asked.shadow)
                    if event is not None and not convergence.take(event):
                        convergence.begin(await _now(hub, asked) or made)
    verdict = convergence.verdict()
    now = await _now(hub, asked)
    if now is None:
        return made, False
    convergence.begin(now)  # what is shown may be newer than what was heard in time
    return now, "converged" in {verdict, convergence.verdict()}


def _event(record: Record, name: str | None) -> ShadowChanged | None:
    """Read a change of that shadow; None: the record tells of something else."""
    if record.kind != CHANGED:
        return None
    event = msgspec.json.decode(record.value, type=ShadowChanged)
    return event if event.shadow == name else None


async def _now(hub: Hub, asked: ChangeDesired) -> Shadow | None:
    """Read the shadow; None: it cannot be read now, or is no more. That it was changed must be told all the same."""
    try:
        return await shadow.current(hub, ShadowId(asked.product_id, asked.device_id, asked.shadow))
    except (Problem, Unavailable):
        return None
