"""Commands to all devices of a tag: begun in every partition, counted, ended."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.owners.reads import MAX_KEYS
from libs.runtime.requests.client import NoAnswer
from libs.topics.messages.command_requests import CancelFanOut, SendToTag
from libs.topics.names import COMMANDS_INBOX

from . import command_queries as queries
from . import scatter
from .commands import SERVICE
from .fanout_counts import Seen, Started, Tally, seen
from .fanout_documents import FanOut, FanOutBegun, FanOutEnded, FanOutId
from .problems import Problem, busy

if TYPE_CHECKING:
    from .access import Caller
    from .asking import Asker
    from .commands import Order
    from .hub import Hub

MEMBERS: Final = (SERVICE, "ledger", "fanouts")
"""Service, table and view of how a device's commands of fan-outs are."""
MOST_PAGES: Final = 20
"""Of members, which are asked for one after the other: of more than 20,000 members the store of the past tells."""


class Counted(msgspec.Struct, frozen=True):
    """What a partition tells of its own devices."""

    members: int
    accepted: int
    queued: int
    refused: int
    rejected: int


class Member(msgspec.Struct, frozen=True):
    """What its owner remembers of a device's commands of fan-outs."""

    states: dict[str, str]
    late: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True):
    """What the owners remember of a fan-out."""

    states: dict[str, str]
    """By ``product/device``."""
    late: int
    """Of them such as replied when their command was over."""


async def begin(asker: Asker, fanout_id: str, product_id: str, tag: str, order: Order) -> FanOutBegun:
    """Let every partition send to its own members. Raises as `scatter.ask`; `Problem` where none answers.

    They may do so yet: whoever asked is told under which id it is found then, and can be cancelled.
    """
    hub = asker.hub
    requests = [
        SendToTag(fanout_id, product_id, tag, *order, number, **asker.stamp())
        for number in range(hub.settings.kafka.partitions)
    ]
    try:
        told = await scatter.ask(hub, COMMANDS_INBOX, requests)
    except NoAnswer as error:
        known = msgspec.Raw(msgspec.json.encode(FanOutId(fanout_id, product_id, tag)))
        raise busy("no_answer", str(error), current=known) from error
    counted = [msgspec.json.decode(body, type=Counted) for body in told.bodies]
    return FanOutBegun(
        fanout_id=fanout_id,
        product_id=product_id,
        tag=tag,
        **{name: sum(getattr(one, name) for one in counted) for name in Counted.__struct_fields__},
        partitions=len(counted),
        missing_partitions=told.missing,
    )


async def progress(hub: Hub, caller: Caller, fanout_id: str) -> FanOut:
    """Tell how far a fan-out is. Raises `Problem` ``unknown_fanout``, and as `look`."""
    return shown(await look(hub, fanout_id), caller, fanout_id).counts


def shown(seen: Seen | None, caller: Caller, fanout_id: str) -> Seen:
    """Return what was seen, where the caller may know of it. Raises `Problem` ``unknown_fanout``."""
    if seen is None or not caller.knows(seen.counts.product_id):
        raise Problem("unknown_fanout", f"there is no fan-out {fanout_id}")
    return seen


async def look(hub: Hub, fanout_id: str, known: Started | None = None) -> Seen | None:
    """See how far a fan-out is: as the owners of its members know while they remember all, else as it is stored.

    ``known``: how it began, where that was told before. None: nobody knows of such a fan-out. Raises `Unavailable`,
    and as `Asked.ask` where only the store could tell.
    """
    found = await members(hub, fanout_id)
    if known is None:
        known = await started(hub, fanout_id, needed=not found.states)
    product_id = next(iter(found.states), "").partition("/")[0] if known is None else known.product_id
    if not product_id:
        return None
    partitions = hub.settings.kafka.partitions
    owners = Tally(Counter(found.states.values()), found.late)
    stored = None
    if known is not None and not owners.whole(known, partitions):
        stored = await _stored(hub, product_id, fanout_id)
    return seen(fanout_id, product_id, known, owners, stored=stored, partitions=partitions)


async def started(hub: Hub, fanout_id: str, *, needed: bool) -> Started | None:
    """Ask how it began; None: nothing is stored, or the store does not tell and is not ``needed``."""
    try:
        rows = await hub.history.ask(queries.fanout_started(fanout_id))
    except Problem:
        if needed:
            raise
        return None
    return msgspec.convert(rows[0], Started, strict=False) if rows else None


async def members(hub: Hub, fanout_id: str) -> Members:
    """Ask the owners how the members' commands are. Raises `Unavailable`.

    Not all where the fan-out is older than what they remember, or has more members than `MOST_PAGES` hold.
    """
    states: dict[str, str] = {}
    late, after = 0, ""
    for _ in range(MOST_PAGES):
        found = await hub.reads.list(*MEMBERS, f"request:{fanout_id}", after=after, limit=MAX_KEYS)
        for key, document in found:
            member = _member(document)
            state = member.states.get(fanout_id)
            if state is not None:
                states[key] = state
                late += fanout_id in member.late
        if len(found) < MAX_KEYS:
            break
        after = found[-1][0]
    return Members(states, late)


def _member(document: msgspec.Raw) -> Member:
    return msgspec.json.decode(document, type=Member)


async def _stored(hub: Hub, product_id: str, fanout_id: str) -> Tally:
    """Count members as they are stored."""
    rows = await hub.history.ask(queries.fanout_states(product_id, fanout_id))
    return Tally(Counter({state: number for state, number, _ in rows}), sum(late for *_, late in rows))


async def product_of(hub: Hub, caller: Caller, fanout_id: str) -> str:
    """Find whose a fan-out is. Raises `Problem` (``unknown_fanout``, and as `Asked.ask`), `Unavailable`."""
    listed = await hub.reads.list(*MEMBERS, f"request:{fanout_id}", limit=1)
    products = [key.partition("/")[0] for key, document in listed if fanout_id in _member(document).states]
    if not products:
        begun = await started(hub, fanout_id, needed=True)
        products = [] if begun is None else [begun.product_id]
    if not products or not caller.knows(products[0]):
        raise Problem("unknown_fanout", f"there is no fan-out {fanout_id}")
    return products[0]


async def cancel(asker: Asker, caller: Caller, fanout_id: str) -> FanOutEnded:
    """End all of its commands that are open. Raises as `product_of` and `scatter.ask`."""
    product_id = await product_of(asker.hub, caller, fanout_id)
    requests = [
        CancelFanOut(fanout_id, product_id, number, **asker.stamp())
        for number in range(asker.hub.settings.kafka.partitions)
    ]
    told = await scatter.ask(asker.hub, COMMANDS_INBOX, requests)
    ended = sum(msgspec.json.decode(body, type=_Ended).cancelled for body in told.bodies)
    return FanOutEnded(
        fanout_id=fanout_id, cancelled=ended, partitions=len(told.bodies), missing_partitions=told.missing
    )


class _Ended(msgspec.Struct, frozen=True):
    cancelled: int
