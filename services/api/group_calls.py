"""Calls of many devices that wait for them: the hub's own log tells what becomes of each."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from libs.topics.names import COMMANDS_EVENTS

from . import fanouts
from .command_calls import ENDS
from .commands import GRACE_S, order
from .group import Group
from .problems import FieldError, Problem

if TYPE_CHECKING:
    from .asking import Asker
    from .fanout_documents import GroupRpc, NewGroupRpc


async def call(asker: Asker, product_id: str, tag: str, new: NewGroupRpc, body: bytes) -> tuple[GroupRpc, bool]:
    """Call all devices of a tag, and wait as ``new`` says; returns what it came to, and whether that has come.

    Raises `Problem`, and as `fanouts.begin` and `Streams.hearing`. The product is listened to before the devices are
    called, so that no reply is missed in between.
    """
    if (new.wait == "share") is (new.share is None):
        said = "give it with wait share, and only then"
        raise Problem("invalid_request", f"share: {said}", errors=(FieldError("share", "body", said),))
    hub = asker.hub
    fanout_id = asker.request_id("f", f"{product_id}/{tag}")
    what = order("rpc", new, body, new.timeout_s)
    group = Group(fanout_id)
    until = asyncio.get_running_loop().time() + new.timeout_s + (0 if new.wait == "deadline" else GRACE_S)

    def come() -> bool:
        return group.over() or (new.share is not None and group.replied(new.share))

    async with hub.streams.hearing(COMMANDS_EVENTS, product_id, None, stopping=hub.stopping) as heard:
        group.begin(await fanouts.begin(asker, fanout_id, product_id, tag, what))
        if asker.idempotency is not None:  # these may be answers to the first attempt, and long ago
            known = await fanouts.members(hub, fanout_id)
            group.know({key.partition("/")[2]: state for key, state in known.states.items() if state in ENDS})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not come() and (record := await heard.get()) is not None:
                    group.take(record)
    return group.document(), come() or new.wait == "deadline"
