"""Commands to all devices of a tag: begun in every partition, counted, ended."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.owners.reads import MAX_KEYS
from libs.topics.messages.base import Millis
from libs.topics.messages.command_requests import CancelFanOut, SendToTag
from libs.topics.names import COMMANDS_INBOX

from . import command_queries as queries
from . import scatter
from .command_calls import ENDS, OPEN_STATES
from .commands import SERVICE
from .fanout_documents import FanOut, FanOutBegun, FanOutEnded
from .problems import Problem

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


class Started(msgspec.Struct, frozen=True, array_like=True):
    """How a fan-out began, as far as it is stored."""

    product_id: str
    tag: str
    at: Millis
    partitions: int
    members: int
    refused: int


async def begin(asker: Asker, fanout_id: str, product_id: str, tag: str, order: Order) -> FanOutBegun:
    """Let every partition send to its own members. Raises as `scatter.ask`."""
    hub = asker.hub
    requests = [
        SendToTag(fanout_id, product_id, tag, *order, number, **asker.stamp())
        for number in range(hub.settings.kafka.partitions)
    ]
    told = await scatter.ask(hub, COMMANDS_INBOX, requests)
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
    """Tell how far a fan-out is: as the owners of its members know while they remember all, else as it is stored.

    Raises `Problem` ``unknown_fanout``, and as `Asked.ask`, `Unavailable`.
    """
    states = await members(hub, fanout_id)
    started = None
    try:
        for row in await hub.history.ask(queries.fanout_started(fanout_id)):
            started = msgspec.convert(row, Started, strict=False)
    except Problem:
        if not states:
            raise
    product_id = next(iter(states), "").partition("/")[0] if started is None else started.product_id
    if not product_id or not caller.knows(product_id):
        raise _unknown(fanout_id)
    counts, late = Counter(states.values()), 0
    if started is not None:
        stored, late = await _stored(hub, product_id, fanout_id)
        whole = started.partitions == hub.settings.kafka.partitions
        if not whole or len(states) != started.members - started.refused:
            counts = max(counts, stored, key=Counter.total)
    return _counted(fanout_id, product_id, started, counts, late)


async def product_of(hub: Hub, caller: Caller, fanout_id: str) -> str:
    """Find whose devices are a fan-out's members. Raises as `progress`."""
    for key, document in await hub.reads.list(*MEMBERS, f"request:{fanout_id}", limit=1):
        if fanout_id in msgspec.json.decode(document, type=Member).states:
            product_id = key.partition("/")[0]
            break
    else:
        rows = await hub.history.ask(queries.fanout_started(fanout_id))
        product_id = str(rows[0][0]) if rows else ""
    if not product_id or not caller.knows(product_id):
        raise _unknown(fanout_id)
    return product_id


def _unknown(fanout_id: str) -> Problem:
    return Problem("unknown_fanout", f"there is no fan-out {fanout_id}")


def _counted(fanout_id: str, product_id: str, started: Started | None, counts: Counter[str], late: int) -> FanOut:
    refused = 0 if started is None else started.refused
    return FanOut(
        fanout_id=fanout_id,
        product_id=product_id,
        tag=None if started is None else started.tag,
        started_at=None if started is None else started.at,
        partitions=0 if started is None else started.partitions,
        members=refused + counts.total(),
        refused=refused,
        **{state: counts[state] for state in (*OPEN_STATES, *ENDS)},
        open=sum(counts[state] for state in OPEN_STATES),
        late=late,
    )


async def members(hub: Hub, fanout_id: str) -> dict[str, str]:
    """Ask the owners how the members' commands are: states by ``product/device``. Raises `Unavailable`.

    Not all where the fan-out is older than what they remember, or has more members than `MOST_PAGES` hold.
    """
    states: dict[str, str] = {}
    after = ""
    for _ in range(MOST_PAGES):
        found = await hub.reads.list(*MEMBERS, f"request:{fanout_id}", after=after, limit=MAX_KEYS)
        for key, document in found:
            state = msgspec.json.decode(document, type=Member).states.get(fanout_id)
            if state is not None:
                states[key] = state
        if len(found) < MAX_KEYS:
            break
        after = found[-1][0]
    return states


async def _stored(hub: Hub, product_id: str, fanout_id: str) -> tuple[Counter[str], int]:
    """Count members by state as they are stored, and late replies."""
    rows = await hub.history.ask(queries.fanout_states(product_id, fanout_id))
    return Counter({state: number for state, number, _ in rows}), sum(late for *_, late in rows)


async def cancel(asker: Asker, caller: Caller, fanout_id: str) -> FanOutEnded:
    """End all of its commands that are open. Raises as `progress` and `scatter.ask`."""
    found = await progress(asker.hub, caller, fanout_id)
    requests = [
        CancelFanOut(fanout_id, found.product_id, number, **asker.stamp())
        for number in range(asker.hub.settings.kafka.partitions)
    ]
    told = await scatter.ask(asker.hub, COMMANDS_INBOX, requests)
    ended = sum(msgspec.json.decode(body, type=_Ended).cancelled for body in told.bodies)
    return FanOutEnded(
        fanout_id=fanout_id, cancelled=ended, partitions=len(told.bodies), missing_partitions=told.missing
    )


class _Ended(msgspec.Struct, frozen=True):
    cancelled: int
